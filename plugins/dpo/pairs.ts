import * as tf from '@tensorflow/tfjs';
import type { Outputs, PreferenceBatch, Rows } from 'mooring';

/** What the losses see of a batch: figures of whole completions, each `[pairs]`. */
export interface Pairs {
  /** log pi(y|x) of the policy. */
  readonly chosenLogps: tf.Tensor;
  readonly rejectedLogps: tf.Tensor;
  /** log pi_ref(y|x). */
  readonly referenceChosenLogps: tf.Tensor;
  readonly referenceRejectedLogps: tf.Tensor;
  /** log pi(y|x) - log pi_ref(y|x), summed from the differences of tokens: near the reference the sums would cancel. */
  readonly chosenLogratios: tf.Tensor;
  readonly rejectedLogratios: tf.Tensor;
  /** Scored tokens, at least 1. */
  readonly chosenTokens: tf.Tensor;
  readonly rejectedTokens: tf.Tensor;
}

/** Adds up per-token log-probabilities `[tokens]` of policy and reference over each completion. */
export function pairsOf(
  batch: PreferenceBatch,
  outputs: { readonly policy: tf.Tensor; readonly reference: tf.Tensor },
  ldAlpha?: number,
): Pairs {
  const { rows, pairs } = batch;
  const weights = ldAlpha === undefined ? undefined : tf.tensor1d(lengthDesensitized(batch, ldAlpha));
  const sums = (values: tf.Tensor) => sumByRow(weights === undefined ? values : tf.mul(values, weights), rows);
  const [chosenLogps, rejectedLogps] = halves(sums(outputs.policy), pairs);
  const [referenceChosenLogps, referenceRejectedLogps] = halves(sums(outputs.reference), pairs);
  const [chosenLogratios, rejectedLogratios] = halves(sums(tf.sub(outputs.policy, outputs.reference)), pairs);
  const [chosenTokens, rejectedTokens] = halves(tf.maximum(tf.tensor1d(tokensByRow(rows)), 1), pairs);
  return {
    chosenLogps,
    rejectedLogps,
    referenceChosenLogps,
    referenceRejectedLogps,
    chosenLogratios,
    rejectedLogratios,
    chosenTokens,
    rejectedTokens,
  };
}

/** Sums over the tokens of each sequence: `[tokens]` -> `[sequences]`. */
export function sumByRow(values: tf.Tensor, { targets, sequences }: Rows): tf.Tensor {
  return tf.unsortedSegmentSum(values, tf.tensor1d(targets.row, 'int32'), sequences);
}

/** Chosen sequences come first, then the rejected: `[2 * pairs]` -> two of `[pairs]`. */
export function halves(rows: tf.Tensor, pairs: number): [chosen: tf.Tensor, rejected: tf.Tensor] {
  return [tf.slice(rows, [0], [pairs]), tf.slice(rows, [pairs], [pairs])];
}

/** Scored tokens of each sequence, `[sequences]`. */
export function tokensByRow({ targets, sequences }: Rows): Float32Array {
  const counts = new Float32Array(sequences);
  for (const row of targets.row) counts[row] = (counts[row] as number) + 1;
  return counts;
}

/**
 * Weights of LD-DPO, `[tokens]`: 1 up to the length that both completions of the pair have, `ldAlpha` for what only the
 * longer one has (Liu et al. 2024, "Length Desensitization in Direct Preference Optimization", arXiv 2409.06411, eq. 11).
 */
function lengthDesensitized({ rows, pairs }: PreferenceBatch, ldAlpha: number): Float32Array {
  const lengths = tokensByRow(rows);
  const { row, position } = rows.targets;
  return Float32Array.from(row, (at, token) => {
    const other = at < pairs ? at + pairs : at - pairs;
    const shared = Math.min(lengths[at] as number, lengths[other] as number);
    return (position[token] as number) < shared ? 1 : ldAlpha;
  });
}

/** The outputs of policy and reference, which `passes` asked for. */
export function scoredBy(outputs: Readonly<Record<string, Outputs>>) {
  const policy = outputs.policy as Required<Outputs>;
  const reference = outputs.reference as Required<Outputs>;
  return { policy: policy.logps, reference: reference.logps };
}
