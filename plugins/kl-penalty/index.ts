import * as tf from '@tensorflow/tfjs';
import { definePlugin, type LossInputs, Objective } from 'mooring';
import { checkCombination, optionsSchema } from './options.ts';
import { createPenalty } from './penalty.ts';

/** Adds `beta` times the mean divergence of policy and reference over tokens to the loss of any objective. */
export const klPenalty = definePlugin({
  name: 'kl-penalty',
  apiVersion: 1,
  options: optionsSchema,
  uses: { objective: Objective },
  apply({ hooks, decorate, options, services }) {
    checkCombination(options);
    if (options.beta === 0) return; // then nothing is asked for, the reference included
    const penalty = createPenalty(options);
    decorate(Objective, {
      uses: {},
      create: (inner) => ({
        accepts: inner.accepts,
        passes: (batch) => penalty.passes(inner.passes(batch)),
        terms: (inputs) => inner.terms(inputs),
        metrics: (inputs) => inner.metrics?.(inputs) ?? {},
      }),
    });
    const valuesOf = ({ batch, outputs }: Pick<LossInputs, 'batch' | 'outputs'>) =>
      tf.concat(penalty.values(services.objective.passes(batch), outputs)); // [tokens]
    // a live value, so that plugins can schedule it: they tap after this
    hooks.settings.tap((settings) => ({ ...settings, klBeta: options.beta }));
    hooks.lossTerms.tap((inputs) => ({
      kl: { sum: tf.mul(tf.sum(valuesOf(inputs)), inputs.settings.klBeta ?? options.beta), per: 'token' },
    }));
    hooks.metrics.tap((inputs) => {
      const values = valuesOf(inputs);
      return {
        [penalty.metric]: { value: values.size === 0 ? 0 : tf.mean(values), reduce: 'mean', weight: values.size },
      };
    });
  },
});
