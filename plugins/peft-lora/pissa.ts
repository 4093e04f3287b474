import * as tf from '@tensorflow/tfjs';
import type { Engine, Model, ParameterStore } from 'mooring';
import type { LoraAdapter, LoraModule } from './adapter.ts';
import { failure } from './errors.ts';
import { namesOf } from './initialize.ts';
import { refuseTied } from './merge.ts';

/** The view that keeps A and B as they started, for saving: see `convertPissa`. */
export const startView = 'pissa';

/**
 * PiSSA (Meng et al. 2024, arXiv 2404.02948): A and B are the weight's largest singular values and vectors, as PEFT splits
 * them, and the base keeps the rest. Every rank calls it and decomposes each weight, of which there is one at a time. Throws ADAPTER_NEEDS_SVD on engines without the decomposition,
 * ADAPTER_MERGE_TIED and ADAPTER_RANK_TOO_HIGH.
 */
export async function startWithPissa(
  adapter: LoraAdapter,
  model: Model,
  store: ParameterStore,
  engine: Engine,
): Promise<void> {
  const modules = [...adapter.modules.values()];
  const linears = modules.filter(({ kind }) => kind === 'linear');
  refuseTied(
    adapter,
    linears.map(({ weight }) => weight),
    model,
  );
  for (const module of linears) {
    const most = Math.min(module.inputs, module.outputs);
    if (module.r > most) throw failure('ADAPTER_RANK_TOO_HIGH', { module: module.name, r: module.r, most });
    const split = async () => principal(module, store, engine);
    const { a, b, residual } = await store.withGathered(namesOf(module), 'policy', split);
    store.write(module.a.spec.name, 'policy', a);
    store.write(module.b.spec.name, 'policy', b);
    store.write(module.weight, 'policy', residual);
  }
  store.addView(startView, { names: modules.flatMap(({ a, b }) => [a.spec.name, b.spec.name]) });
}

/** What a weight is split into. */
function principal(module: LoraModule, store: ParameterStore, engine: Engine) {
  const { r, scaling, layout, weight } = module;
  return tf.tidy(() => {
    const whole = store.read(weight, 'policy') as tf.Tensor2D;
    const isTransposed = layout === 'in,out';
    const matrix = isTransposed ? tf.transpose(whole) : whole; // [outputs, inputs]
    const [values, left, right] = decompose(matrix, engine);
    const roots = tf.sqrt(tf.div(tf.slice(values, 0, r), scaling));
    const a = tf.mul(tf.transpose(tf.slice(right, [0, 0], [-1, r])), tf.reshape(roots, [-1, 1])); // [r, inputs]
    const b = tf.mul(tf.slice(left, [0, 0], [-1, r]), roots); // [outputs, r]
    const rest = tf.sub(matrix, tf.mul(tf.matMul(b as tf.Tensor2D, a as tf.Tensor2D), scaling));
    return { a, b, residual: isTransposed ? tf.transpose(rest) : rest };
  });
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
