import * as tf from '@tensorflow/tfjs';

/**
 * Rows of a matrix, `[count, features]` from `[rows, features]`; `indices` is int32 `[count]`.
 * tfjs's own gradient of gather transposes what comes in and what goes out, and both are large for an embedding.
 */
export function takeRows(matrix: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  const rows = matrix.shape[0] as number;
  return tf.customGrad((matrix, save) => {
    (save as tf.GradSaveFunc)([indices]);
    return {
      value: tf.gather(matrix as tf.Tensor, indices as tf.Tensor1D),
      gradFunc: (dy: tf.Tensor, [indices]: tf.Tensor[]) => tf.unsortedSegmentSum(dy, indices as tf.Tensor1D, rows),
    };
  })(matrix);
}
