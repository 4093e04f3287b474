import * as tf from '@tensorflow/tfjs';
import type { Activation } from '../activations.ts';
import { withGradient } from './gradient.ts';

/** `activation(gate) * up`, all `[tokens, features]` (Shazeer 2020, GLU variants). */
export function gated(gate: tf.Tensor, up: tf.Tensor, activation: Activation): tf.Tensor {
  return withGradient(
    [gate, up],
    (save) => {
      const { value, saved } = activation.forward(gate);
      save([gate, up, value, ...saved]);
      return tf.mul(value, up);
    },
    (dy, [gate, up, value, ...saved]) => {
      const slope = activation.slope(gate as tf.Tensor, value as tf.Tensor, saved);
      return [tf.mul(tf.mul(dy, up as tf.Tensor), slope), tf.mul(dy, value as tf.Tensor)];
    },
  );
}

/** `activation(input)`, element by element. */
export function activate(input: tf.Tensor, activation: Activation): tf.Tensor {
  return withGradient(
    [input],
    (save) => {
      const { value, saved } = activation.forward(input);
      save([input, value, ...saved]);
      return value;
    },
    (dy, [input, value, ...saved]) => [tf.mul(dy, activation.slope(input as tf.Tensor, value as tf.Tensor, saved))],
  );
}
