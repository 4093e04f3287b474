import { definePlugin, RunConfig, Tokenizer } from 'mooring';
import { checkVocabulary, loadTokenizer } from './tokenizer.ts';

/** Provides the tokenizer that lies in the model's folder, and refuses one that is too large for the model. */
export const tokenizer = definePlugin({
  name: 'tokenizer',
  apiVersion: 1,
  uses: { config: RunConfig, tokenizer: Tokenizer },
  apply({ hooks, provide, services }) {
    provide(Tokenizer, { uses: { config: RunConfig }, create: ({ config }) => loadTokenizer(config.model) });
    hooks.modelDefined.tap(({ model }) => {
      checkVocabulary(services.tokenizer, model.vocabularySize, services.config.model);
    });
  },
});
