import * as tf from '@tensorflow/tfjs';
import type { Collectives, Engine, Model, ParameterStore } from 'mooring';
import type { LoraAdapter, LoraModule } from './adapter.ts';
import { failure } from './errors.ts';
import { refuseTied } from './merge.ts';

/** The view that keeps A and B as they started, for saving: see `convertPissa`. */
export const startView = 'pissa';

/**
 * PiSSA (Meng et al. 2024, arXiv 2404.02948): A and B are the weight's largest singular values and vectors, as PEFT splits
 * them, and the base keeps the rest. Every rank calls it; each decomposes some of the weights and tells the others, since
 * the signs of singular vectors may differ between machines. Throws ADAPTER_NEEDS_SVD on engines without the decomposition,
 * ADAPTER_MERGE_TIED and ADAPTER_RANK_TOO_HIGH.
 */
export async function startWithPissa(
  adapter: LoraAdapter,
  model: Model,
  store: ParameterStore,
  engine: Engine,
  collectives: Collectives,
): Promise<void> {
  const modules = [...adapter.modules.values()];
  const linears = modules.filter(({ kind }) => kind === 'linear');
  refuseTied(
    adapter,
    linears.map(({ weight }) => weight),
    model,
  );
  for (const [at, module] of linears.entries()) {
    const most = Math.min(module.inputs, module.outputs);
    if (module.r > most) throw failure('ADAPTER_RANK_TOO_HIGH', { module: module.name, r: module.r, most });
    const split = async () => {
      const root = at % collectives.ranks;
      const own = collectives.rank === root ? await principal(module, store, engine) : emptyFactors(module);
      const factors = await collectives.broadcast(own, root, `the singular vectors of ${module.name}`);
      return splitWeight(module, store, factors);
    };
    const { a, b, residual } = await store.withGathered([module.weight], 'policy', split);
    store.write(module.a.spec.name, 'policy', a);
    store.write(module.b.spec.name, 'policy', b);
    store.write(module.weight, 'policy', residual);
  }
  store.addView(startView, { names: modules.flatMap(({ a, b }) => [a.spec.name, b.spec.name]) });
}

/** A `[r, inputs]` and B `[outputs, r]` of a weight, one after the other. */
async function principal(module: LoraModule, store: ParameterStore, engine: Engine): Promise<Float32Array> {
  const { r, scaling } = module;
  const factors = tf.tidy(() => {
    const [values, left, right] = decompose(matrixOf(module, store), engine);
    const roots = tf.sqrt(tf.div(tf.slice(values, 0, r), scaling));
    const a = tf.mul(tf.transpose(tf.slice(right, [0, 0], [-1, r])), tf.reshape(roots, [-1, 1]));
    const b = tf.mul(tf.slice(left, [0, 0], [-1, r]), roots);
    return tf.concat([tf.reshape(a, [-1]), tf.reshape(b, [-1])]);
  });
  return factors.data<'float32'>().finally(() => factors.dispose());
}

function emptyFactors({ r, inputs, outputs }: LoraModule): Float32Array {
  return new Float32Array(r * (inputs + outputs));
}

/** A weight as its factors and what is left of it, as it lies. */
function splitWeight(module: LoraModule, store: ParameterStore, factors: Float32Array) {
  const { r, inputs, outputs, scaling, layout } = module;
  return tf.tidy(() => {
    const a = tf.tensor2d(factors.slice(0, r * inputs), [r, inputs]);
    const b = tf.tensor2d(factors.slice(r * inputs), [outputs, r]);
    const rest = tf.sub(matrixOf(module, store), tf.mul(tf.matMul(b, a), scaling));
    return { a, b, residual: layout === 'in,out' ? tf.transpose(rest) : rest };
  });
}

/** `[outputs, inputs]` */
function matrixOf({ weight, layout }: LoraModule, store: ParameterStore): tf.Tensor2D {
  const whole = store.read(weight, 'policy') as tf.Tensor2D;
  return layout === 'in,out' ? tf.transpose(whole) : whole;
}

/** Singular values in falling order, `[n]`, and the vectors of the left and right as columns. */
function decompose(matrix: tf.Tensor, { native, name }: Engine): [tf.Tensor, tf.Tensor, tf.Tensor] {
  if (native === undefined) throw failure('ADAPTER_NEEDS_SVD', { engine: name });
  const { backend } = native;
  const { binding } = backend;
  const attributes = [
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    { name: 'compute_uv', type: binding.TF_ATTR_BOOL, value: true },
    { name: 'full_matrices', type: binding.TF_ATTR_BOOL, value: false },
  ];
  return backend.executeMultipleOutputs('Svd', attributes, [matrix], 3) as [tf.Tensor, tf.Tensor, tf.Tensor];
}
