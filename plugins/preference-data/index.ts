import { DataSource, definePlugin, EvaluationData, Model, optional, Random, RunConfig, Tokenizer } from 'mooring';
import { z } from 'zod';
import { failure } from './errors.ts';
import { promptSharing } from './sharing.ts';
import { openPreferenceData } from './source.ts';

const uses = { config: RunConfig, tokenizer: Tokenizer, random: Random, model: optional(Model) };

/** Reads `data` and `evalData`, JSONL files of preference pairs, as batches; only `data` is shuffled. */
export const preferenceData = definePlugin({
  name: 'preference-data',
  apiVersion: 1,
  options: z.strictObject({ sharePrompts: z.union([z.literal('auto'), z.boolean()]).default('auto') }),
  apply({ provide, options, log }) {
    const sharingWith = promptSharing(options.sharePrompts, log);
    provide(DataSource, {
      uses,
      create({ config: { data, train }, tokenizer, random, model }) {
        if (data === undefined) throw failure('DATA_NOT_GIVEN', {});
        const order = train.shuffle ? { random, seed: train.seed } : {};
        const sharing = sharingWith(model, { hasDropout: !train.disableDropout });
        return openPreferenceData({ ...train, ...order, file: data, tokenizer, log, sharing });
      },
    });
    provide(EvaluationData, {
      uses,
      async create({ config: { evalData, train }, tokenizer, model }) {
        if (evalData === undefined) return undefined;
        const sharing = sharingWith(model, { hasDropout: false });
        return openPreferenceData({ ...train, seed: undefined, file: evalData, tokenizer, log, sharing });
      },
    });
  },
});
