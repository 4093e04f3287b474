import type { Plugin } from 'mooring';
import { causalLm } from './causal-lm/index.ts';
import { metrics } from './metrics/index.ts';
import { preferenceData } from './preference-data/index.ts';
import { progress } from './progress/index.ts';
import { tokenizer } from './tokenizer/index.ts';

/**
 * The plugins that a run has unless it removes them: a model and its tokenizer, preference pairs, figures and progress.
 *
 *     createTrainer({ model, data, output }).use(...defaults(), dpo(), refClone())
 */
export function defaults(): Plugin[] {
  const plugins = [causalLm(), tokenizer(), preferenceData(), metrics(), progress()];
  return plugins.map((plugin) => ({ ...plugin, isDefault: true }));
}
