import * as tf from '@tensorflow/tfjs';

/**
 * tfjs's own gradients of `f` by `xs`, `null` for those that it does not depend on. Where `f` fails, tfjs would keep what
 * it saved for them.
 */
export function gradientsOf(f: () => tf.Tensor, xs: tf.Tensor[], dy?: tf.Tensor) {
  const engine = tf.engine();
  try {
    return engine.gradients(f, xs, dy, true);
  } catch (error) {
    for (const { saved = [] } of engine.state.activeTape ?? []) tf.dispose(saved);
    throw error;
  }
}
