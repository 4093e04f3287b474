import * as tf from '@tensorflow/tfjs';
import type { Softened } from './log-probabilities.ts';

/**
 * Exact KL(policy || reference) of each token's prediction over the vocabulary, in nats, `[tokens]`: with p of the policy
 * and q of the reference, sum(p log(p / q) - p + q). No addend is negative, and the last two, whose sums cancel, make an
 * error of the normalisers count by its square only: summed over a vocabulary they are off by more than small divergences.
 * Equal logits give exactly 0.
 */
export function klDivergence(policy: Softened, reference: Softened): tf.Tensor {
  return tf.tidy(() => {
    const [p, q] = [policy, reference].map(({ exponentials, sum }) => tf.div(exponentials, sum)) as [
      tf.Tensor,
      tf.Tensor,
    ];
    const normalizers = tf.sub(normalizer(policy), normalizer(reference)); // [tokens, 1]
    const logRatio = tf.sub(tf.sub(policy.logits, reference.logits), normalizers); // [tokens, vocabulary]
    return tf.sum(tf.add(tf.sub(tf.mul(p, logRatio), p), q), -1);
  });
}

/** Log of the sum of exponentials of the logits, `[tokens, 1]`. */
function normalizer({ max, sum }: Softened): tf.Tensor {
  return tf.add(tf.log(sum), max);
}
