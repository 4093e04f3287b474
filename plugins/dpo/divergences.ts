import * as tf from '@tensorflow/tfjs';
import { logSigmoid } from './calculus.ts';
import type { DivergenceType } from './options.ts';

/**
 * Scores of completions under an f-divergence: f'(u) at u = pi(y|x) / pi_ref(y|x), from r = log u, constants that cancel
 * between chosen and rejected left out (Wang et al. 2023, "Beyond Reverse KL", arXiv 2309.16240, table 1).
 */
export type Divergence = (logratios: tf.Tensor, alpha: number) => tf.Tensor;

/** Beyond this exponent float32 overflows; TRL clamps there too. */
const largestExponent = 80;

/** The divergences by TRL's names. */
export const divergences: Readonly<Record<DivergenceType, Divergence>> = {
  /** KL(pi || pi_ref), that of DPO: r. */
  reverse_kl: (r) => r,
  /** KL(pi_ref || pi): -1 / u = -exp(-r). */
  forward_kl: (r) => tf.neg(tf.exp(tf.neg(r))),
  /** Jensen-Shannon: log(u / (1 + u)) = log sigmoid(r). */
  js_divergence: (r) => logSigmoid(r),
  /** Alpha-divergence: u^(alpha - 1) / (alpha - 1), and its limit r at alpha = 1. */
  alpha_divergence(r, alpha) {
    const power = alpha - 1;
    if (Math.abs(power) < 1e-6) return r;
    return tf.div(tf.exp(tf.minimum(tf.mul(r, power), largestExponent)), power);
  },
};
