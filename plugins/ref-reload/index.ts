import { Collectives, Drivers, definePlugin, Model, Models, Reference, RunConfig } from 'mooring';
import { z } from 'zod';
import { createReloadedReference, type ReloadedReference } from './reference.ts';
import { refuseOtherVocabulary } from './vocabulary.ts';

/** The reference is the model of a folder, whatever its size and family, with the policy's vocabulary. */
export const refReload = definePlugin({
  name: 'ref-reload',
  apiVersion: 1,
  options: z.strictObject({
    model: z.string().min(1),
    storage: z.enum(['float32', 'bfloat16']).default('float32'),
    offload: z.enum(['memory', 'disk']).default('memory'),
  }),
  folders: ({ model }) => [model],
  apply({ hooks, provide, options }) {
    let reloaded: ReloadedReference | undefined;
    provide(Reference, {
      uses: { config: RunConfig, collectives: Collectives, model: Model, models: Models, drivers: Drivers },
      async create({ config, collectives, model, models, drivers }) {
        const folder = config.folders[options.model] as string;
        const other = models.open(folder);
        const { vocabularySize } = model;
        await refuseOtherVocabulary({ folder: config.model, vocabularySize }, { folder, ...other });
        reloaded = createReloadedReference({ ...options, folder, model: other, drivers, collectives });
        return reloaded;
      },
    });
    hooks.refInit.tap(() => reloaded?.load());
    hooks.teardown.tap(() => reloaded?.close());
  },
});
