import * as tf from '@tensorflow/tfjs';
import { type LossInputs, type Outputs, type PreferenceBatch, packRows } from 'mooring';
import { openEngine } from '../../../core/engine/engine.ts';
import type { Pairs } from '../../../plugins/dpo/pairs.ts';

// losses need no speed, and the default backend advertises another one
await openEngine('cpu');

/** A batch with completions of the given lengths after a prompt of one token. */
export function batchOf(chosen: readonly number[], rejected: readonly number[]): PreferenceBatch {
  const sequence = (length: number) => ({ ids: Array.from({ length: length + 1 }, (_, at) => at), completionStart: 1 });
  const sum = (lengths: readonly number[]) => lengths.reduce((total, length) => total + length, 0);
  return {
    kind: 'preference',
    position: 0,
    origin: 'test',
    pairs: chosen.length,
    counts: { row: chosen.length, token: sum(chosen) + sum(rejected), chosenToken: sum(chosen) },
    rows: packRows([...chosen, ...rejected].map(sequence)),
  };
}

/** What the objective sees, from per-token log-probabilities; other outputs are zero unless given. */
export function inputsOf(
  batch: PreferenceBatch,
  logps: { policy: readonly number[]; reference: readonly number[] },
  more: { beta?: number } & Partial<Record<'entropy' | 'logits' | 'correct' | 'collision', number[]>> = {},
): LossInputs & { policy: tf.Tensor1D } {
  const { beta = 0.5, ...given } = more;
  const policy = tf.tensor1d([...logps.policy]);
  const zeros = new Array<number>(batch.counts.token).fill(0);
  const output = (name: keyof typeof given) => tf.tensor1d(given[name] ?? zeros);
  const all: Outputs = {
    logps: policy,
    entropy: output('entropy'),
    logits: output('logits'),
    correct: output('correct'),
    collision: output('collision'),
  };
  const outputs = { policy: all, reference: { logps: tf.tensor1d([...logps.reference]) } };
  return { batch, outputs, settings: { learningRate: 0, beta }, policy };
}

/** Two pairs with log-ratios (2, -1) and (0.5, 1), of 2 chosen and 4 rejected tokens. */
export function twoPairs(): Pairs {
  return {
    chosenLogps: tf.tensor1d([-1, -1.5]),
    rejectedLogps: tf.tensor1d([-2, -3]),
    referenceChosenLogps: tf.tensor1d([-3, -2]),
    referenceRejectedLogps: tf.tensor1d([-1, -4]),
    chosenLogratios: tf.tensor1d([2, 0.5]),
    rejectedLogratios: tf.tensor1d([-1, 1]),
    chosenTokens: tf.tensor1d([2, 2]),
    rejectedTokens: tf.tensor1d([4, 4]),
  };
}
