import * as tf from '@tensorflow/tfjs';

/**
 * A tensor with a hand-written gradient by `inputs`. What `backward` reads must go through `save`: tfjs disposes the rest.
 * `forward` is called once, at once; other tensors that it reads are constants.
 */
export function withGradient(
  inputs: readonly tf.Tensor[],
  forward: (save: tf.GradSaveFunc) => tf.Tensor,
  backward: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor[],
): tf.Tensor {
  return tf.customGrad((...given) => ({
    value: forward(given[inputs.length] as tf.GradSaveFunc),
    gradFunc: backward,
  }))(...inputs);
}
