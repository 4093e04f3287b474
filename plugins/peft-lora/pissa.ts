import * as tf from '@tensorflow/tfjs';
import type { Engine, ParameterStore } from 'mooring';
import type { LoraAdapter, LoraModule } from './adapter.ts';
import { failure } from './errors.ts';
import type { Adapter } from './folder/adapter.ts';
import type { AdapterConfig } from './folder/config.ts';

/** The view that keeps the first A and B. */
const view = 'pissa';

/**
 * PiSSA (Meng et al. 2024, arXiv 2404.02948): A and B are the weight's largest singular values and vectors, as PEFT splits
 * them, and the base keeps the rest. Throws ADAPTER_NEEDS_SVD on engines without the decomposition.
 */
export function startWithPissa(adapter: LoraAdapter, store: ParameterStore, engine: Engine): void {
  const modules = [...adapter.modules.values()].filter(({ kind }) => kind === 'linear');
  for (const module of modules) {
    const { a, b, weight, residual } = principal(module, store, engine);
    store.write(module.a.spec.name, 'policy', a);
    store.write(module.b.spec.name, 'policy', b);
    store.write(weight, 'policy', residual);
  }
  store.addView(view, { names: modules.flatMap(({ a, b }) => [a.spec.name, b.spec.name]) });
}

function principal(module: LoraModule, store: ParameterStore, engine: Engine) {
  const { r, scaling, layout, weight } = module;
  const found = tf.tidy(() => {
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
  return { ...found, weight };
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

/**
 * The adapter as plain LoRA over the base that it was taken from, as PEFT converts it: what training changed is
 * B A - B0 A0 = [B, -B0] [A; A0], of twice the rank at the same scaling.
 */
export async function convertPissa(saved: Adapter, adapter: LoraAdapter, store: ParameterStore): Promise<Adapter> {
  const tensors = new Map(saved.tensors);
  for (const { a, b, kind, r, inputs, outputs } of adapter.modules.values()) {
    if (kind !== 'linear') continue;
    const [wide, tall] = tf.tidy(() => {
      const now = (name: string) => store.read(name, 'policy');
      const first = (name: string) => store.read(name, view);
      return [
        tf.concat([now(a.spec.name), first(a.spec.name)], 0),
        tf.concat([now(b.spec.name), tf.neg(first(b.spec.name))], 1),
      ] as const;
    });
    tensors.set(a.key, { shape: [2 * r, inputs], values: (await wide.data()) as Float32Array });
    tensors.set(b.key, { shape: [outputs, 2 * r], values: (await tall.data()) as Float32Array });
    tf.dispose([wide, tall]);
  }
  return { config: doubled(saved.config), tensors };
}

function doubled(config: AdapterConfig): AdapterConfig {
  const factor = config.rslora ? Math.SQRT2 : 2;
  const times = (patterns: Readonly<Record<string, number>>, by: number) =>
    Object.fromEntries(Object.entries(patterns).map(([pattern, value]) => [pattern, by * value]));
  return {
    ...config,
    r: 2 * config.r,
    alpha: factor * config.alpha,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, factor),
    initLoraWeights: true,
  };
}
