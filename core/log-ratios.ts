import * as tf from '@tensorflow/tfjs';

/**
 * Statistics of the log-ratio d = log q(token) - log p(token) of one token, p of the policy and q of the reference:
 * k1 = -d, k2 = d^2 / 2 and k3 = e^d - 1 - d (Schulman 2020, http://joschu.net/blog/kl-approx.html). Over the policy's own
 * samples k1 and k3 have the expectation KL(policy || reference), and k2 nearly. Over tokens of a data set they have not:
 * there they say how far the two are apart on those tokens, and are named log-ratios.
 */
export const logRatioStatistics = ['k1', 'k2', 'k3'] as const;
export type LogRatioStatistic = (typeof logRatioStatistics)[number];

/**
 * How a statistic is differentiated. `value`: as its formula is. Over own samples that gives, in expectation, 0 for k1, the
 * gradient of KL(policy || reference) for k2, and that of KL(reference || policy) for k3. `unbiased`: with the gradient of
 * k2 whatever the value, so that the expectation over own samples is the gradient of KL(policy || reference): verl's `k1+`
 * and `k3+`; where samples are the policy's own, DeepSeek-V3.2's k3 times the importance ratio (TRL's
 * `use_bias_correction_kl`) has the same gradient. (Tang and Munos 2025, arXiv 2506.09477.)
 */
export type LogRatioGradient = 'value' | 'unbiased';

/** A statistic of each token, shaped as the log-probabilities, in nats; differentiable by the policy's. */
export function logRatioStatistic(
  name: LogRatioStatistic,
  policyLogps: tf.Tensor,
  referenceLogps: tf.Tensor,
  { gradient = 'value' }: { readonly gradient?: LogRatioGradient } = {},
): tf.Tensor {
  const backward = gradient === 'unbiased' ? 'k2' : name;
  return tf.customGrad((...given) => {
    const [policy, save] = given as [tf.Tensor, tf.GradSaveFunc];
    const logRatio = tf.sub(referenceLogps, policy);
    save([logRatio]);
    const gradFunc = (dy: tf.Tensor, [d]: tf.Tensor[]) => tf.mul(dy, slopes[backward](d as tf.Tensor));
    return { value: values[name](logRatio), gradFunc };
  })(policyLogps);
}

/** The mean of the values whose mask is 1, all where there is no mask; 0 where none is. A scalar. */
export function maskedMean(values: tf.Tensor, mask: tf.Tensor = tf.onesLike(values)): tf.Tensor {
  return tf.div(tf.sum(tf.mul(values, mask)), tf.maximum(tf.sum(mask), 1));
}

/** Sums over the tokens of each sequence, `[sequences]` of values `[tokens]`; `row` says which sequence each is of. */
export function sumBySequence(values: tf.Tensor, row: Int32Array, sequences: number): tf.Tensor {
  return tf.unsortedSegmentSum(values, tf.tensor1d(row, 'int32'), sequences);
}

/** Means over the tokens of each sequence, `[sequences]`; 0 where it has none. */
export function meanBySequence(values: tf.Tensor, row: Int32Array, sequences: number): tf.Tensor {
  const counts = sumBySequence(tf.ones(values.shape), row, sequences);
  return tf.div(sumBySequence(values, row, sequences), tf.maximum(counts, 1));
}

/** Of the log-ratio d. e^d - 1 as one function: near the reference the difference would be rounding. */
const values: Readonly<Record<LogRatioStatistic, (d: tf.Tensor) => tf.Tensor>> = {
  k1: (d) => tf.neg(d),
  k2: (d) => tf.mul(tf.square(d), 0.5),
  k3: (d) => tf.sub(tf.expm1(d), d),
};

/** By the policy's log-probability, of which d is the negative. */
const slopes: Readonly<Record<LogRatioStatistic, (d: tf.Tensor) => tf.Tensor>> = {
  k1: (d) => tf.onesLike(d),
  k2: (d) => tf.neg(d),
  k3: (d) => tf.neg(tf.expm1(d)),
};
