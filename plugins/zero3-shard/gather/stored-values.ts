import * as tf from '@tensorflow/tfjs';
import { type ParameterStorage, packedShape } from 'mooring';

/** Numbers of a parameter laid flat: float32, or bfloat16 by its bits. */
export type Values = Float32Array | Uint16Array;

/**
 * The numbers of a tensor that a store keeps, in their order: float32, or the bits of bfloat16 out of pairs, of which the
 * first half of the rows are the low halves and the others the high ones. Takes ownership.
 */
export function valuesOf(stored: tf.Tensor, elements: number): Values {
  const values = stored.dataSync<'float32' | 'int32'>();
  const isPacked = stored.dtype === 'int32';
  stored.dispose();
  if (!isPacked) return values as Float32Array;
  const halves = new Uint16Array(values.buffer, values.byteOffset, 2 * values.length);
  const numbers = new Uint16Array(elements);
  for (let at = 0; at < values.length; at++) {
    numbers[at] = halves[2 * at] as number;
    if (values.length + at < elements) numbers[values.length + at] = halves[2 * at + 1] as number;
  }
  return numbers;
}

/** The tensor that a store keeps of a parameter of this shape, from its numbers. */
export function storedOf(values: Values, shape: readonly number[], storage: ParameterStorage): tf.Tensor {
  if (storage === 'float32') return tf.tensor(values as Float32Array, [...shape], 'float32');
  const packed = packedShape(shape);
  const pairs = new Int32Array(tf.util.sizeFromShape(packed));
  const halves = new Uint16Array(pairs.buffer);
  for (let at = 0; at < pairs.length; at++) {
    halves[2 * at] = values[at] as number;
    if (pairs.length + at < values.length) halves[2 * at + 1] = values[pairs.length + at] as number;
  }
  return tf.tensor(pairs, packed, 'int32');
}
