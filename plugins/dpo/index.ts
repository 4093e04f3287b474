import { definePlugin, Objective } from 'mooring';
import { createDpoObjective } from './objective.ts';
import { checkCombination, optionsSchema } from './options.ts';

/** Trains on preference pairs by direct preference optimization, in any of its variants that TRL knows. */
export const dpo = definePlugin({
  name: 'dpo',
  apiVersion: 1,
  options: optionsSchema,
  apply({ hooks, provide, options, log }) {
    const remark = checkCombination(options);
    if (remark !== undefined) log.warn({}, remark);
    provide(Objective, { uses: {}, create: () => createDpoObjective(options) });
    // a live value, so that plugins can schedule it: they tap after this
    hooks.settings.tap((settings) => ({ ...settings, beta: options.beta }));
  },
});
