import { definePlugin, Engine, Model, Models, optional, Reference } from 'mooring';
import { z } from 'zod';
import { refuseOverBudget } from './budget.ts';
import { bytesSchema, formatBytes } from './byte-count.ts';
import { adviseCommand } from './command.ts';

/** Predicts what each way to have a reference takes; in a run it refuses one that would take more than its budget. */
export const advisor = definePlugin({
  name: 'advise',
  apiVersion: 1,
  preservesTraining: true,
  options: z.strictObject({ memory: bytesSchema.optional() }),
  uses: { model: Model, models: optional(Models), engine: Engine, reference: optional(Reference) },
  commands: [adviseCommand],
  apply({ hooks, options: { memory }, services, log }) {
    if (memory === undefined) return;
    hooks.setup.tap(async ({ run }) => {
      const { model, models, reference, engine } = services;
      const { resident } = await refuseOverBudget(memory, {
        run,
        model,
        models,
        reference,
        isNative: engine.native !== undefined,
      });
      log.info({ resident, memory }, `advise: predicted ${formatBytes(resident)} of ${formatBytes(memory)}`);
    });
  },
});
