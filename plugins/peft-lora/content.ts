import * as tf from '@tensorflow/tfjs';
import type { ParameterStore } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import { freshMagnitude, namesOf } from './initialize.ts';

/** How far a magnitude that another program computed may be from ours, relative. */
const rounding = 1e-5;

/** What an adapter adds to the base, as a clause, or `undefined` where it adds nothing: judged by its values. Every rank calls it. */
export async function contentOf(adapter: LoraAdapter, store: ParameterStore): Promise<string | undefined> {
  const read = (name: string) => store.read(name, 'policy');
  const isTrue = (names: readonly string[], condition: () => tf.Tensor) =>
    store.withGathered(names, 'policy', async () => tf.tidy(() => condition().dataSync()[0] === 1));
  const isZero = (name: string) => isTrue([name], () => tf.all(tf.equal(read(name), 0)));
  for (const module of adapter.modules.values()) {
    const { name, a, b, magnitude } = module;
    if (!(await isZero(b.spec.name)) && !(await isZero(a.spec.name))) return `the adapter already changes "${name}"`;
    if (magnitude === undefined) continue;
    const isFresh = await isTrue(namesOf(module), () => {
      const [now, fresh] = [read(magnitude.spec.name), freshMagnitude(adapter, module, store)];
      return tf.all(tf.lessEqual(tf.abs(tf.sub(now, fresh)), tf.mul(fresh, rounding)));
    });
    if (!isFresh) return `the adapter already scales "${name}"`;
  }
  for (const { own, parameter } of adapter.copies.values()) {
    const names = [own.spec.name, parameter];
    const isEqual = await isTrue(names, () => tf.all(tf.equal(read(own.spec.name), read(parameter))));
    if (!isEqual) return `the adapter has another "${parameter}" than the base`;
  }
  return undefined;
}
