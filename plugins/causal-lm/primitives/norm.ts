import * as tf from '@tensorflow/tfjs';
import { withGradient } from './gradient.ts';

/** Divides each row by its root mean square, `[rows, features]` (Zhang and Sennrich 2019). The caller multiplies by the weight. */
export function rmsNormalize(input: tf.Tensor, epsilon: number): tf.Tensor {
  return withGradient(
    [input],
    (save) => {
      const [normal, inverse] = scaleRows(input, epsilon);
      save([normal, inverse]);
      return normal;
    },
    (dy, [normal, inverse]) => [tf.mul(tf.sub(dy, projection(dy, normal as tf.Tensor)), inverse as tf.Tensor)],
  );
}

/** Brings each row to mean 0 and variance 1, `[rows, features]` (Ba et al. 2016). The caller applies weight and bias. */
export function layerNormalize(input: tf.Tensor, epsilon: number): tf.Tensor {
  return withGradient(
    [input],
    (save) => {
      const [normal, inverse] = scaleRows(tf.sub(input, tf.mean(input, -1, true)), epsilon);
      save([normal, inverse]);
      return normal;
    },
    (dy, [normal, inverse]) => {
      const centred = tf.sub(dy, tf.mean(dy, -1, true));
      return [tf.mul(tf.sub(centred, projection(dy, normal as tf.Tensor)), inverse as tf.Tensor)];
    },
  );
}

function scaleRows(input: tf.Tensor, epsilon: number): [normal: tf.Tensor, inverse: tf.Tensor] {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.mul(input, input), -1, true), epsilon)); // [rows, 1]
  return [tf.mul(input, inverse), inverse];
}

/** The part of `dy` along the normalised row, which scaling cannot change. */
function projection(dy: tf.Tensor, normal: tf.Tensor): tf.Tensor {
  return tf.mul(normal, tf.mean(tf.mul(dy, normal), -1, true));
}
