import * as tf from '@tensorflow/tfjs';
import type { Outputs, PreferenceBatch } from 'mooring';
import { withoutGradient } from './calculus.ts';
import { halves, sumByRow, tokensByRow } from './pairs.ts';

/**
 * How likely each pair is under the policy, `[pairs]`: the product over both completions of
 * exp(mean over tokens of log p(token) - log sum_v p(v)^2). A constant in the backward pass.
 * WPO: Zhou et al. 2024, arXiv 2406.11827, eq. 2, with its alignment of weights for sampled tokens.
 */
export function pairWeights({ rows, pairs }: PreferenceBatch, policy: Required<Outputs>): tf.Tensor {
  const weightOf = (logps: tf.Tensor) => {
    const sums = sumByRow(tf.sub(logps, policy.collision), rows);
    const [chosen, rejected] = halves(tf.div(sums, tf.maximum(tf.tensor1d(tokensByRow(rows)), 1)), pairs);
    return tf.exp(tf.add(chosen, rejected));
  };
  return withoutGradient(weightOf, policy.logps);
}
