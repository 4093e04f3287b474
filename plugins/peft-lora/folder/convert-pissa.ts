import type { Adapter, AdapterTensor } from './adapter.ts';
import type { AdapterConfig } from './config.ts';
import { failure } from './errors.ts';

/**
 * Turns an adapter whose initialisation changed the base into plain LoRA over the unchanged base. With the base W, the
 * initial adapter A0, B0 and the residual W - B0 A0 that was trained over, `W + dW = (W - B0 A0) + B A`, so that
 * `dW = [B, -B0] [A; A0]`: twice the rank and, to keep the scaling, as much more alpha. As PEFT's
 * `save_pretrained(..., path_initial_model_for_weight_conversion)` does (lora/model.py, `subtract_mutated_init`), which
 * however drops biases and whole modules, and refuses patterns with rank-stabilised scaling: both are right here.
 * `initial` is the adapter right after initialisation.
 * Throws ADAPTER_CONVERSION_REFUSED.
 */
export function convertPissa(trained: Adapter, initial: Adapter): Adapter {
  const { config, tensors } = trained;
  refuse(config, trained, initial);
  const converted = [...tensors].map(([key, tensor]): [string, AdapterTensor] => {
    const start = initial.tensors.get(key);
    if (start === undefined) return [key, tensor];
    if (isA(key)) return [key, stacked(tensor, start)];
    if (isB(key)) return [key, besideNegated(tensor, start)];
    return [key, tensor];
  });
  return { config: doubled(config), tensors: new Map(converted) };
}

const isA = (key: string) => /\.lora_(A\.weight|embedding_A)$/.test(key);
const isB = (key: string) => /\.lora_(B\.weight|embedding_B)$/.test(key);

function refuse(config: AdapterConfig, trained: Adapter, initial: Adapter): void {
  const missing = [...trained.tensors].find(([key, { shape }]) => {
    return (isA(key) || isB(key)) && initial.tensors.get(key)?.shape.join() !== shape.join();
  });
  const reasons: readonly (readonly [boolean, string])[] = [
    [config.dora, 'with DoRA the base that was changed is part of its norms'],
    [missing !== undefined, `the initial adapter has no "${missing?.[0]}" of that shape`],
  ];
  const reason = reasons.find(([isSo]) => isSo)?.[1];
  if (reason !== undefined) throw failure('ADAPTER_CONVERSION_REFUSED', { reason });
}

function doubled(config: AdapterConfig): AdapterConfig {
  const factor = config.rslora ? Math.SQRT2 : 2;
  const times = (patterns: Readonly<Record<string, number>>, by: number) =>
    Object.fromEntries(Object.entries(patterns).map(([key, value]) => [key, by * value]));
  return {
    ...config,
    initLoraWeights: true,
    r: 2 * config.r,
    alpha: factor * config.alpha,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, factor),
  };
}

/** `[r, inputs]` twice to `[2r, inputs]`. */
function stacked(one: AdapterTensor, other: AdapterTensor): AdapterTensor {
  const [r = 0, inputs = 0] = one.shape;
  const values = new Float32Array(2 * r * inputs);
  values.set(one.values);
  values.set(other.values, r * inputs);
  return { shape: [2 * r, inputs], values };
}

/** `[outputs, r]` twice to `[outputs, 2r]`, the second negated. */
function besideNegated(one: AdapterTensor, other: AdapterTensor): AdapterTensor {
  const [outputs = 0, r = 0] = one.shape;
  const values = new Float32Array(outputs * 2 * r);
  for (let row = 0; row < outputs; row++) {
    values.set(one.values.subarray(row * r, (row + 1) * r), 2 * row * r);
    for (let k = 0; k < r; k++) values[2 * row * r + r + k] = -(other.values[row * r + k] as number);
  }
  return { shape: [outputs, 2 * r], values };
}
