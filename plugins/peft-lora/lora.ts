import * as tf from '@tensorflow/tfjs';
import { takeRows } from 'mooring';
import type { LoraModule } from './adapter.ts';

/** Reads a parameter of the adapter by its local name. */
export type Read = (local: string) => tf.Tensor;

/** What a module computed, and of what. */
export interface Computed {
  /** `[tokens, outputs]`. */
  readonly output: tf.Tensor;
  /** `[tokens, inputs]`, or ids `[tokens]` of an embedding. */
  readonly input: tf.Tensor;
  /** `[tokens, inputs]`, in training with dropout. */
  readonly mask: tf.Tensor | undefined;
  weight(): tf.Tensor;
}

/**
 * A module's output with LoRA (Hu et al. 2021, arXiv 2106.09685): `output + scaling * dropout(x) A^T B^T`. With a
 * magnitude m, DoRA (Liu et al. 2024, arXiv 2402.09353) as PEFT computes it: the whole of it, less the bias, times
 * m / ||W + scaling B A||, whose norm is taken for a constant. PEFT lets dropout fall on the base's part of the change too.
 */
export function withLora(module: LoraModule, { output, input, mask, weight }: Computed, read: Read): tf.Tensor {
  const { a, b, magnitude, scaling, kind, layout, bias } = module;
  const dropped = mask === undefined ? input : tf.mul(input, mask);
  const low =
    kind === 'embedding' ? takeRows(tf.transpose(read(a.local)), dropped) : product(dropped, read(a.local), true); // [tokens, r]
  const added = product(tf.mul(low, scaling), read(b.local), true);
  if (magnitude === undefined) return tf.add(output, added);
  const scale = tf.div(
    read(magnitude.local),
    detached(() => normOf(module, weight(), read)),
  ); // [outputs]
  const base = () => (bias === undefined ? output : tf.sub(output, read(bias)));
  const changed = mask === undefined ? base() : product(dropped, weight(), layout === 'out,in');
  return tf.add(output, tf.add(tf.mul(tf.sub(scale, 1), changed), tf.mul(scale, added)));
}

/** A module's weight, in its own layout, with its adapter in it: what the head reads, and what merging writes. */
export function weightWithLora(module: LoraModule, weight: tf.Tensor, read: Read): tf.Tensor {
  const { magnitude, layout } = module;
  const whole = tf.add(weight, change(module, read));
  if (magnitude === undefined) return whole;
  const scale = tf.div(
    read(magnitude.local),
    detached(() => normOf(module, weight, read)),
  );
  return tf.mul(whole, layout === 'out,in' ? tf.reshape(scale, [-1, 1]) : scale);
}

/** The 2-norm of the adapted weight for each output, `[outputs]`: DoRA's first magnitude. */
export function normOf(module: LoraModule, weight: tf.Tensor, read: Read): tf.Tensor {
  return tf.norm(tf.add(weight, change(module, read)), 2, module.layout === 'out,in' ? 1 : 0);
}

/** scaling * B A, `[outputs, inputs]`, or as the weight lies. */
function change({ a, b, scaling, layout }: LoraModule, read: Read): tf.Tensor {
  const [first, second] = layout === 'out,in' ? [read(b.local), read(a.local)] : [read(a.local), read(b.local)];
  const isTransposed = layout === 'in,out';
  return tf.mul(tf.matMul(first as tf.Tensor2D, second as tf.Tensor2D, isTransposed, isTransposed), scaling);
}

function product(x: tf.Tensor, y: tf.Tensor, isTransposed: boolean): tf.Tensor {
  return tf.matMul(x as tf.Tensor2D, y as tf.Tensor2D, false, isTransposed);
}

/** A value that no gradient flows through. */
function detached(value: () => tf.Tensor): tf.Tensor {
  return tf.customGrad(() => ({ value: value(), gradFunc: () => [] }))();
}
