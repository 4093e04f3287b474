import * as tf from '@tensorflow/tfjs';
import { widenKernel } from '../engine/widen.ts';
import { toBfloat16 } from './safetensors/dtype.ts';

/** How a parameter's values are kept: `bfloat16` takes half the bytes, and keeps 8 of a float32's 24 significant bits. */
export type ParameterStorage = 'float32' | 'bfloat16';

/** The shape of the int32 tensor that holds a parameter as bfloat16: half as many rows, rounded up. */
export function packedShape([rows = 1, ...rest]: readonly number[]): number[] {
  return [Math.ceil(rows / 2), ...rest];
}

/**
 * Two bfloat16 numbers in each int32, rounded to nearest, ties to even: row `r` in the low halves of packed row `r`, and
 * row `packedShape(shape)[0] + r` in its high halves, so that a row is read on its own.
 */
export function packBfloat16(value: tf.Tensor): tf.Tensor {
  const shape = packedShape(value.shape);
  const numbers = toBfloat16(value.dataSync<'float32'>());
  const pairs = new Int32Array(tf.util.sizeFromShape(shape));
  for (let at = 0; at < pairs.length; at++) {
    pairs[at] = ((numbers[pairs.length + at] ?? 0) << 16) | (numbers[at] as number);
  }
  return tf.tensor(pairs, shape, 'int32');
}

/** A parameter of this shape as float32 from what is stored: the tensor itself where it is not packed. Exact. */
export function widen(stored: tf.Tensor, shape: readonly number[]): tf.Tensor {
  if (stored.dtype === 'float32') return stored;
  return tf.tidy(() => {
    const padded = widenRows(stored);
    const [rows = 1, ...rest] = shape;
    const whole = padded.shape[0] === rows ? padded : tf.slice(padded, 0, rows);
    return shape.length === 0 ? tf.reshape(whole, []) : tf.reshape(whole, [rows, ...rest]);
  });
}

/** Rows of a packed matrix, `[count, features]`, by `indices` `[count]`: only they are widened. */
export function takeWidenedRows(packed: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  return tf.tidy(() => {
    const half = tf.scalar(packed.shape[0] as number, 'int32');
    const isHigh = tf.greaterEqual(indices, half);
    const taken = tf.gather(packed, tf.where(isHigh, tf.sub(indices, half), indices) as tf.Tensor1D);
    const [low, high] = tf.split(widenRows(taken), 2) as [tf.Tensor, tf.Tensor];
    return tf.where(tf.expandDims(isHigh, 1), high, low);
  });
}

function widenRows(packed: tf.Tensor): tf.Tensor {
  return tf.engine().runKernel(widenKernel, { packed }) as tf.Tensor;
}
