import * as tf from '@tensorflow/tfjs';
import type { LossInputs, LossTerm, Objective, OutputName, Outputs, PreferenceBatch } from 'mooring';
import { divergences } from './divergences.ts';
import { type LossParameters, losses, type ScoredPairs } from './losses.ts';
import { dpoMetrics } from './metrics.ts';
import { couplesRows, type DpoOptions, type LossType } from './options.ts';
import { type Pairs, pairsOf, scoredBy } from './pairs.ts';
import { pairWeights } from './weighting.ts';

/** Direct preference optimization and its relatives over preference pairs; `beta` is read from the live settings. */
export function createDpoObjective(options: DpoOptions): Objective {
  const policyOutputs: OutputName[] = ['logps', 'entropy', 'logits', 'correct'];
  if (options.useWeighting) policyOutputs.push('collision');
  const betaOf = ({ settings }: LossInputs) => settings.beta ?? options.beta;
  const pairsIn = ({ batch, outputs }: LossInputs) =>
    pairsOf(batch as PreferenceBatch, scoredBy(outputs), options.ldAlpha);
  return {
    accepts: 'preference',
    passes(batch) {
      const { rows } = batch as PreferenceBatch;
      return [
        { key: 'policy', of: 'policy', rows, outputs: policyOutputs },
        { key: 'reference', of: 'reference', rows, outputs: ['logps'] },
      ];
    },
    terms(inputs) {
      const batch = inputs.batch as PreferenceBatch;
      const policy = inputs.outputs.policy as Required<Outputs>;
      const pairs = scored(pairsIn(inputs), options);
      const weights = options.useWeighting ? pairWeights(batch, policy) : undefined;
      const parameters = { ...options, beta: betaOf(inputs) };
      return options.lossType.map((type, index) => {
        const factor = options.lossWeights?.[index] ?? 1;
        const term = type === 'sft' ? sft(batch, policy, weights) : paired(type, pairs, parameters, weights);
        return { ...term, sum: tf.mul(term.sum, factor) };
      });
    },
    metrics: (inputs) => dpoMetrics(inputs, pairsIn(inputs), betaOf(inputs)),
  };
}

function scored(pairs: Pairs, { fDivergenceType, fAlphaDivergenceCoef }: DpoOptions): ScoredPairs {
  const score = (logratios: tf.Tensor) => divergences[fDivergenceType](logratios, fAlphaDivergenceCoef);
  return { ...pairs, chosenScores: score(pairs.chosenLogratios), rejectedScores: score(pairs.rejectedLogratios) };
}

function paired(
  type: Exclude<LossType, 'sft'>,
  pairs: ScoredPairs,
  parameters: LossParameters,
  weights: tf.Tensor | undefined,
): LossTerm {
  const each = losses[type](pairs, parameters); // [pairs]
  const sum = tf.sum(weights === undefined ? each : tf.mul(each, weights));
  return couplesRows(type) ? { name: type, sum, per: 'row', couplesRows: true } : { name: type, sum, per: 'row' };
}

/** Negative log-likelihood of the chosen tokens; under WPO times the mean weight of the batch's pairs, as in TRL. */
function sft({ counts }: PreferenceBatch, { logps }: Required<Outputs>, weights: tf.Tensor | undefined): LossTerm {
  const likelihood = tf.sum(tf.slice(logps, [0], [counts.chosenToken ?? 0]));
  const sum = tf.neg(weights === undefined ? likelihood : tf.mul(likelihood, tf.mean(weights)));
  return { name: 'sft', sum, per: 'chosenToken' };
}
