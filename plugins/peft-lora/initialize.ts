import * as tf from '@tensorflow/tfjs';
import type { ParameterStore, Random } from 'mooring';
import type { AdapterParameter, LoraAdapter, LoraModule } from './adapter.ts';
import { normOf, type Read } from './lora.ts';

/**
 * First values of a fresh adapter's parameters, as PEFT draws them: A uniform within 1 / sqrt(inputs) (Kaiming with
 * a = sqrt 5), or with `gaussian` normal with deviation 1 / r, and B zero; of an embedding A zero and B normal. What is
 * made from the base is zero until `fillFromBase`.
 */
export function freshValues(adapter: LoraAdapter, random: Random): Map<AdapterParameter, tf.Tensor> {
  const isGaussian = adapter.config.initLoraWeights === 'gaussian';
  const values = new Map(adapter.parameters.map((each) => [each, () => tf.zeros([...each.spec.shape])]));
  for (const { a, b, r, inputs, kind } of adapter.modules.values()) {
    const normal = (each: AdapterParameter, deviation: number) =>
      draw(each, random, (next) => deviation * normalOf(next));
    const bound = 1 / Math.sqrt(inputs);
    if (kind === 'embedding') values.set(b, () => normal(b, 1));
    else if (isGaussian) values.set(a, () => normal(a, 1 / r));
    else values.set(a, () => draw(a, random, (next) => bound * (2 * next() - 1)));
  }
  return new Map([...values].map(([each, make]) => [each, make()]));
}

/** Values that come from the base's, once they are loaded: copies, which share its buffers until they are trained, and DoRA's magnitudes. */
export async function fillFromBase(adapter: LoraAdapter, store: ParameterStore): Promise<void> {
  for (const { own, parameter } of adapter.copies.values()) {
    store.writeShard(own.spec.name, 'policy', store.readShard(parameter, 'policy'));
  }
  for (const module of adapter.modules.values()) {
    if (module.magnitude === undefined) continue;
    const fresh = async () => freshMagnitude(adapter, module, store);
    store.write(module.magnitude.spec.name, 'policy', await store.withGathered(namesOf(module), 'policy', fresh));
  }
}

/** The parameters that a module's weight with its adapter is made of. */
export function namesOf({ weight, a, b, magnitude }: LoraModule): string[] {
  return [weight, ...[a, b, magnitude].flatMap((parameter) => parameter?.spec.name ?? [])];
}

/** The magnitude at which DoRA changes nothing, `[outputs]`. */
export function freshMagnitude(adapter: LoraAdapter, module: LoraModule, store: ParameterStore): tf.Tensor {
  return tf.tidy(() => normOf(module, store.read(module.weight, 'policy'), readerOf(adapter, module.block, store)));
}

/** Reads an adapter's parameters, and the base's, by the local names of a block, outside of one. Call it in a tidy. */
export function readerOf({ parameters }: LoraAdapter, block: string, store: ParameterStore): Read {
  const names = new Map(parameters.filter((each) => each.block === block).map((each) => [each.local, each.spec.name]));
  return (local) => store.read(names.get(local) as string, 'policy');
}

function draw({ spec: { name, shape } }: AdapterParameter, random: Random, value: (next: () => number) => number) {
  const { next } = random.stream('peft-lora', name);
  const size = shape.reduce((product, each) => product * each, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => value(next)),
    [...shape],
  );
}

/** Box and Muller 1958. */
function normalOf(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}
