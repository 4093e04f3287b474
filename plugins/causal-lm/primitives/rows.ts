import * as tf from '@tensorflow/tfjs';
import { withGradient } from './gradient.ts';

/** Rows of a matrix, `[count, features]`; `indices` is int32 `[count]`. tfjs's own gradient of gather transposes twice. */
export function takeRows(matrix: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  return withGradient(
    [matrix],
    () => tf.gather(matrix, indices as tf.Tensor1D),
    (dy) => [tf.unsortedSegmentSum(dy, indices as tf.Tensor1D, matrix.shape[0] as number)],
  );
}
