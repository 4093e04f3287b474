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
    const logRatio = tf.sub(tf.sub(policy.logits, reference.logits), normalizerRatio(policy, reference)); // [tokens, vocabulary]
    return tf.sum(tf.add(tf.sub(tf.mul(p, logRatio), p), q), -1);
  });
}

/** Log of the ratio of the two partition sums, `[tokens, 1]`; of two logs, each much larger, their rounding would be left. */
function normalizerRatio(policy: Softened, reference: Softened): tf.Tensor {
  return tf.add(tf.sub(policy.max, reference.max), tf.log(tf.div(policy.sum, reference.sum)));
}
