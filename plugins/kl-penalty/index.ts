import * as tf from '@tensorflow/tfjs';
import { definePlugin, type LossInputs, Objective, Reference } from 'mooring';
import { checkCombination, optionsSchema } from './options.ts';
import { createPenalty, ofPolicy } from './penalty.ts';

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
      uses: { reference: Reference }, // asked for now, so that one that is missing is told before a model is loaded
      create: (inner) => ({
        accepts: inner.accepts,
        passes: (batch) => penalty.passes(inner.passes(batch)),
        terms: (inputs) => inner.terms(inputs),
        metrics: (inputs) => inner.metrics?.(inputs) ?? {},
      }),
    });
    /** Of each pass of the policy. */
    const penaltiesOf = ({ batch, outputs }: Pick<LossInputs, 'batch' | 'outputs'>) => {
      const passes = services.objective.passes(batch);
      return ofPolicy(passes).map((pass) => ({ ...pass, values: penalty.values(pass, passes, outputs) }));
    };
    // a live value, so that plugins can schedule it: they tap after this
    hooks.settings.tap((settings) => ({ ...settings, klBeta: options.beta }));
    hooks.lossTerms.tap((inputs) => {
      const beta = inputs.settings.klBeta ?? options.beta;
      const terms = penaltiesOf(inputs).map(({ key, counted = 'token', values }, at) => [
        at === 0 ? 'kl' : `kl/${key}`,
        { sum: tf.mul(tf.sum(values), beta), per: counted },
      ]);
      return Object.fromEntries(terms);
    });
    hooks.metrics.tap((inputs) => {
      const values = tf.concat(penaltiesOf(inputs).map((each) => each.values)); // [tokens]
      return {
        [penalty.metric]: { value: values.size === 0 ? 0 : tf.mean(values), reduce: 'mean', weight: values.size },
      };
    });
  },
});
