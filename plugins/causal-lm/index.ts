import { join } from 'node:path';
import {
  Collectives,
  Driver,
  definePlugin,
  Generator,
  Model,
  Models,
  optional,
  ParameterStore,
  partOf,
  Random,
  RunConfig,
  Tokenizer,
} from 'mooring';
import { z } from 'zod';
import { generate, score } from './commands.ts';
import { createDecoder, type Decoder } from './decoder.ts';
import { endIdsOf } from './end-ids.ts';
import { createGenerator } from './generate.ts';
import { type SavedModel, saveModel } from './save.ts';
import { storedDtype } from './weights.ts';

/** Provides the model of a Hugging Face folder, generates with it, and saves it, if it was trained, as such a folder: `model/` in the run's output. */
export const causalLm = definePlugin({
  name: 'causal-lm',
  apiVersion: 1,
  commands: [score, generate],
  options: z.strictObject({ initialize: z.enum(['weights', 'random']).default('weights') }),
  uses: {
    config: RunConfig,
    collectives: Collectives,
    store: ParameterStore,
    model: Model,
    tokenizer: optional(Tokenizer),
  },
  apply({ hooks, provide, options, services }) {
    provide(Model, {
      uses: { config: RunConfig, random: Random },
      create: ({ config, random }) => createDecoder(config.model, { ...options, random }),
    });
    provide(Models, {
      uses: { random: Random },
      create: ({ random }) => ({ open: (folder) => createDecoder(folder, { initialize: 'weights', random }) }),
    });
    provide(Generator, {
      uses: { model: Model, driver: Driver },
      create: ({ model, driver }) => createGenerator(model as Decoder, driver, endIdsOf(model as Decoder)),
    });
    hooks.export.tap(async ({ directory }) => {
      const { config, collectives, store, tokenizer } = services;
      const model = services.model as Decoder;
      // a base that nothing trained stands where it was read; what was trained over it is for its plugin to save
      if (!model.parameters.some(({ name }) => store.isTrainable(name))) return;
      const fresh = options.initialize === 'random';
      const saved: SavedModel = {
        source: model.folder,
        config: model.config,
        parameters: model.parameters,
        dtype: config.train.saveDtype ?? (fresh ? 'float32' : await storedDtype(model.folder)),
        tokenizerFiles: tokenizer?.files,
        part: (name) => partOf(store, name, 'policy', collectives),
      };
      await saveModel(join(directory, 'model'), saved, collectives);
    });
  },
});
