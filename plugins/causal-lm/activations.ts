import * as tf from '@tensorflow/tfjs';

/** An activation and its derivative, element by element. `saved` is what the derivative needs beside input and value. */
export interface Activation {
  forward(input: tf.Tensor): { value: tf.Tensor; saved: tf.Tensor[] };
  slope(input: tf.Tensor, value: tf.Tensor, saved: readonly tf.Tensor[]): tf.Tensor;
}

/** `x * sigmoid(k x)`: silu with k = 1 (Elfwing et al. 2018), quick gelu with k = 1.702. */
function sigmoidLinear(k: number): Activation {
  return {
    forward(x) {
      const gate = tf.sigmoid(k === 1 ? x : tf.mul(x, k));
      return { value: tf.mul(x, gate), saved: [gate] };
    },
    slope(_, value, [gate]) {
      const rest = tf.mul(value, tf.sub(1, gate as tf.Tensor));
      return tf.add(gate as tf.Tensor, k === 1 ? rest : tf.mul(rest, k));
    },
  };
}

/** `x * Phi(x)` with the normal distribution function (Hendrycks and Gimpel 2016). */
const gelu: Activation = {
  forward(x) {
    const phi = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
    return { value: tf.mul(x, phi), saved: [phi] };
  },
  slope(x, _, [phi]) {
    const density = tf.mul(tf.exp(tf.mul(tf.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return tf.add(phi as tf.Tensor, tf.mul(x, density));
  },
};

const cubic = 0.044715;
const steepness = Math.sqrt(2 / Math.PI);

/** gelu by tanh, as gpt2 has it: `x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`. */
const geluTanh: Activation = {
  forward(x) {
    // tf.pow is tens of times slower than two products
    const inner = tf.mul(tf.mul(x, tf.add(tf.mul(tf.mul(x, x), cubic), 1)), steepness);
    const half = tf.mul(tf.add(tf.tanh(inner), 1), 0.5);
    return { value: tf.mul(x, half), saved: [half] };
  },
  slope(x, value, [half]) {
    const growth = tf.add(tf.mul(tf.mul(x, x), 6 * cubic * steepness), 2 * steepness);
    return tf.add(half as tf.Tensor, tf.mul(tf.mul(value, tf.sub(1, half as tf.Tensor)), growth));
  },
};

const relu: Activation = {
  forward: (x) => ({ value: tf.relu(x), saved: [] }),
  slope: (x) => tf.step(x),
};

const silu = sigmoidLinear(1);

/** By the name that config.json gives it. */
export const activations: Readonly<Record<string, Activation>> = {
  gelu,
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: sigmoidLinear(1.702),
  relu,
  silu,
  swish: silu,
};
