import { DataSource, definePlugin, EvaluationData, Random, RunConfig, Tokenizer } from 'mooring';
import { failure } from './errors.ts';
import { openPreferenceData } from './source.ts';

const uses = { config: RunConfig, tokenizer: Tokenizer, random: Random };

/** Reads `data` and `evalData`, JSONL files of preference pairs, as batches; only `data` is shuffled. */
export const preferenceData = definePlugin({
  name: 'preference-data',
  apiVersion: 1,
  apply({ provide, log }) {
    provide(DataSource, {
      uses,
      create({ config: { data, train }, tokenizer, random }) {
        if (data === undefined) throw failure('DATA_NOT_GIVEN', {});
        const order = train.shuffle ? { random, seed: train.seed } : {};
        return openPreferenceData({ ...train, ...order, file: data, tokenizer, log });
      },
    });
    provide(EvaluationData, {
      uses,
      create: async ({ config: { evalData, train }, tokenizer }) =>
        evalData === undefined
          ? undefined
          : openPreferenceData({ ...train, seed: undefined, file: evalData, tokenizer, log }),
    });
  },
});
