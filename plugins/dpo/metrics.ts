import * as tf from '@tensorflow/tfjs';
import { inputTokens, type LossInputs, type Metric, type Outputs, type PreferenceBatch } from 'mooring';
import type { Pairs } from './pairs.ts';

/**
 * TRL's figures under TRL's names. Means are weighted by what they are means of, so that the micro-batches of a step give
 * what one large batch would. A tie counts as a wrong preference. `num_tokens` counts the tokens of this batch.
 */
export function dpoMetrics(inputs: LossInputs, pairs: Pairs, beta: number): Readonly<Record<string, Metric>> {
  const batch = inputs.batch as PreferenceBatch;
  const policy = inputs.outputs.policy as Required<Outputs>;
  const tokens = batch.counts.token;
  const chosenTokens = batch.counts.chosenToken ?? 0;
  const rejectedTokens = tokens - chosenTokens;
  const chosenRewards = tf.mul(pairs.chosenLogratios, beta);
  const rejectedRewards = tf.mul(pairs.rejectedLogratios, beta);
  const overPairs = (values: tf.Tensor) => mean(values, batch.pairs);
  // the tokens of chosen completions come first
  const ofChosen = (values: tf.Tensor) => mean(tf.slice(values, [0], [chosenTokens]), chosenTokens);
  const ofRejected = (values: tf.Tensor) => mean(tf.slice(values, [chosenTokens], [rejectedTokens]), rejectedTokens);
  return {
    'rewards/chosen': overPairs(chosenRewards),
    'rewards/rejected': overPairs(rejectedRewards),
    'rewards/accuracies': overPairs(tf.cast(tf.greater(chosenRewards, rejectedRewards), 'float32')),
    'rewards/margins': overPairs(tf.sub(chosenRewards, rejectedRewards)),
    'logps/chosen': overPairs(pairs.chosenLogps),
    'logps/rejected': overPairs(pairs.rejectedLogps),
    'logits/chosen': ofChosen(policy.logits),
    'logits/rejected': ofRejected(policy.logits),
    entropy: mean(policy.entropy, tokens),
    mean_token_accuracy: ofChosen(policy.correct),
    num_tokens: { value: inputTokens([batch]), reduce: 'sum' },
  };
}

function mean(values: tf.Tensor, weight: number): Metric {
  return { value: weight === 0 ? 0 : tf.mean(values), reduce: 'mean', weight };
}
