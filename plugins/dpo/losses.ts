import * as tf from '@tensorflow/tfjs';
import { logSigmoid, sortDescending } from './calculus.ts';
import type { LossType } from './options.ts';
import type { Pairs } from './pairs.ts';

/** Pairs with the scores that the divergence gives them, `[pairs]`; under the reverse KL they are the log-ratios. */
export interface ScoredPairs extends Pairs {
  readonly chosenScores: tf.Tensor;
  readonly rejectedScores: tf.Tensor;
}

/** Numbers in the losses. */
export interface LossParameters {
  readonly beta: number;
  readonly labelSmoothing: number;
  readonly discopopTau: number;
}

/** A loss for each pair, `[pairs]`. */
export type PairLoss = (pairs: ScoredPairs, parameters: LossParameters) => tf.Tensor;

/**
 * The losses by TRL's names, in order of increasing complexity. Below, c and r are the scores of chosen and rejected
 * completions, d = c - r, s the logistic function, e = labelSmoothing. `sft` is no loss of pairs: see `objective.ts`.
 */
export const losses: Readonly<Record<Exclude<LossType, 'sft'>, PairLoss>> = {
  /** -log s(beta d). DPO: Rafailov et al. 2023, arXiv 2305.18290, eq. 7. */
  sigmoid: (pairs, { beta }) => tf.neg(logSigmoid(tf.mul(difference(pairs), beta))),

  /** max(0, 1 - beta d). RSO: Liu et al. 2023, arXiv 2309.06657, eq. 10; SLiC: Zhao et al. 2023, arXiv 2305.10425. */
  hinge: (pairs, { beta }) => tf.relu(tf.sub(1, tf.mul(difference(pairs), beta))),

  /** (d' - 1 / (2 beta))^2, d' from scores for each token. IPO: Azar et al. 2023, arXiv 2310.12036, eq. 17. */
  ipo: (pairs, { beta }) => tf.square(tf.sub(averageDifference(pairs), 1 / (2 * beta))),

  /** -log s(beta d'), d' from scores for each token. Tulu 3: Lambert et al. 2024, arXiv 2411.15124, eq. 6. */
  sigmoid_norm: (pairs, { beta }) => tf.neg(logSigmoid(tf.mul(averageDifference(pairs), beta))),

  /** -log s(beta c) - log s(-beta r). BCO without its reward shift: Jung et al. 2024, arXiv 2404.04656. */
  bco_pair({ chosenScores, rejectedScores }, { beta }) {
    return tf.neg(tf.add(logSigmoid(tf.mul(chosenScores, beta)), logSigmoid(tf.mul(rejectedScores, -beta))));
  },

  /** -log s(beta c) - (log s(-beta c) + log s(-beta r)) / 2. NCA: Chen et al. 2024, arXiv 2402.05369. */
  nca_pair({ chosenScores, rejectedScores }, { beta }) {
    const lowered = tf.add(logSigmoid(tf.mul(chosenScores, -beta)), logSigmoid(tf.mul(rejectedScores, -beta)));
    return tf.neg(tf.add(logSigmoid(tf.mul(chosenScores, beta)), tf.mul(lowered, 0.5)));
  },

  /** (c - 1 / (2 beta))^2 + (r + 1 / (2 beta))^2, winners with probability 1. SPPO: Wu et al. 2024, arXiv 2405.00675, eq. 4.7. */
  sppo_hard({ chosenScores, rejectedScores }, { beta }) {
    const half = 0.5 / beta;
    return tf.add(tf.square(tf.sub(chosenScores, half)), tf.square(tf.add(rejectedScores, half)));
  },

  /** (1 - s(beta c)) + s(beta r), of log-ratios. APO-zero: D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7. */
  apo_zero({ chosenLogratios, rejectedLogratios }, { beta }) {
    return tf.add(tf.sigmoid(tf.mul(chosenLogratios, -beta)), tf.sigmoid(tf.mul(rejectedLogratios, beta)));
  },

  /** s(beta c) + (1 - s(beta d)), c of log-ratios. APO-down: ibid., eq. 8. */
  apo_down(pairs, { beta }) {
    const lowered = tf.sigmoid(tf.mul(pairs.chosenLogratios, beta));
    return tf.add(lowered, tf.sigmoid(tf.mul(difference(pairs), -beta)));
  },

  /** (-(1 - e) log s(beta d) + e log s(-beta d)) / (1 - 2 e). Robust DPO: Chowdhury et al. 2024, arXiv 2403.00409, eq. 5. */
  robust(pairs, { beta, labelSmoothing }) {
    const logits = tf.mul(difference(pairs), beta);
    const clean = tf.mul(logSigmoid(logits), labelSmoothing - 1);
    const flipped = tf.mul(logSigmoid(tf.neg(logits)), labelSmoothing);
    return tf.div(tf.add(clean, flipped), 1 - 2 * labelSmoothing);
  },

  /** KL of (s(beta d), s(-beta d)) from (1 - e, e). EXO: Ji et al. 2024, arXiv 2402.00856, eq. 16. */
  exo_pair(pairs, { beta, labelSmoothing }) {
    const logits = tf.mul(difference(pairs), beta);
    const side = (signed: tf.Tensor, logTarget: number) =>
      tf.mul(tf.sigmoid(signed), tf.sub(logSigmoid(signed), logTarget));
    return tf.add(side(logits, Math.log1p(-labelSmoothing)), side(tf.neg(logits), Math.log(labelSmoothing)));
  },

  /**
   * (1 - m) (-log s(beta d)) + m exp(-beta d), m = s(beta d / tau). DiscoPOP: Lu et al. 2024, arXiv 2406.08414, eq. 5.
   */
  discopop(pairs, { beta, discopopTau }) {
    const logits = tf.mul(difference(pairs), beta);
    // m inside the exponent: outside it would be 0 times infinity far below 0
    const exponential = tf.exp(tf.sub(logSigmoid(tf.div(logits, discopopTau)), logits));
    return tf.sub(exponential, tf.mul(logSigmoid(logits), tf.sigmoid(tf.div(logits, -discopopTau))));
  },

  /**
   * -(1 - e) log s(beta d) - e log s(-beta d), d between the sorted margins log pi(chosen) - log pi(rejected) of policy
   * and reference. AOT paired: Melnyk et al. 2024, arXiv 2406.05882, eq. 9. The sorting couples the rows of a batch.
   */
  aot({ chosenLogps, rejectedLogps, referenceChosenLogps, referenceRejectedLogps }, parameters) {
    const policy = sortDescending(tf.sub(chosenLogps, rejectedLogps));
    const reference = sortDescending(tf.sub(referenceChosenLogps, referenceRejectedLogps));
    return smoothedLogistic(tf.sub(policy, reference), parameters);
  },

  /** The same, d between the sorted log-ratios of chosen and rejected completions. AOT unpaired: ibid., eq. 10. */
  aot_unpaired({ chosenLogratios, rejectedLogratios }, parameters) {
    return smoothedLogistic(tf.sub(sortDescending(chosenLogratios), sortDescending(rejectedLogratios)), parameters);
  },
};

function difference({ chosenScores, rejectedScores }: ScoredPairs): tf.Tensor {
  return tf.sub(chosenScores, rejectedScores);
}

/** Scores divided by the completions' lengths. */
function averageDifference({ chosenScores, rejectedScores, chosenTokens, rejectedTokens }: ScoredPairs): tf.Tensor {
  return tf.sub(tf.div(chosenScores, chosenTokens), tf.div(rejectedScores, rejectedTokens));
}

function smoothedLogistic(differences: tf.Tensor, { beta, labelSmoothing }: LossParameters): tf.Tensor {
  const logits = tf.mul(differences, beta);
  const kept = tf.mul(logSigmoid(logits), labelSmoothing - 1);
  return tf.sub(kept, tf.mul(logSigmoid(tf.neg(logits)), labelSmoothing));
}
