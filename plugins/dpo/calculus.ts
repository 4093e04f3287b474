import * as tf from '@tensorflow/tfjs';

/** log(sigmoid(x)) = -softplus(-x), which neither overflows nor cancels. (tfjs's own loses its input before the backward pass.) */
export function logSigmoid(x: tf.Tensor): tf.Tensor {
  return tf.neg(tf.softplus(tf.neg(x)));
}

/** A value that counts as constant in the backward pass, as under torch's `no_grad`. */
export function withoutGradient(compute: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor): tf.Tensor {
  const { shape } = x;
  return tf.customGrad((input) => ({
    value: compute(input as tf.Tensor),
    gradFunc: () => tf.zeros(shape),
  }))(x);
}

/** Sorts `[n]` from the largest down; the gradient goes back to where each value came from. */
export function sortDescending(x: tf.Tensor): tf.Tensor {
  const count = x.size;
  return tf.customGrad((input, save) => {
    const { values, indices } = tf.topk(input as tf.Tensor1D, count, true);
    (save as (tensors: tf.Tensor[]) => void)([indices]);
    return {
      value: values,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.unsortedSegmentSum(dy, saved[0] as tf.Tensor1D, count),
    };
  })(x);
}
