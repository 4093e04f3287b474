import * as tf from '@tensorflow/tfjs';
import { uncounted } from 'mooring';

/** A tensor of parts that are lent, one after the other; two of them at least have elements, or it would still be theirs. */
export function concatenated(parts: readonly Float32Array[], shape: readonly number[]): tf.Tensor {
  return tf.tidy(() => tf.reshape(tf.concat(parts.map(lent)), [...shape]));
}

/** A tensor, `[elements]`, of the sum of terms that are lent, added in their order in float32. One term becomes its own. */
export function added(terms: readonly Float32Array[]): tf.Tensor {
  const [first, ...others] = terms as readonly [Float32Array, ...Float32Array[]];
  if (others.length === 0) return tf.tensor1d(first);
  return tf.tidy(() => others.reduce<tf.Tensor>((sum, term) => tf.add(sum, lent(term)), lent(first)));
}

/** What the engine may take as it lies, without a copy: not to be kept. */
function lent(values: Float32Array): tf.Tensor1D {
  return uncounted(() => tf.tensor1d(values));
}
