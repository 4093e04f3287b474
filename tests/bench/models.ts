import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Shape } from './operations.ts';

/** The shapes that are timed: the same as the peers' `make_models.py`. */
export const benchModels = {
  tiny: { hidden: 256, layers: 4, heads: 4, keyValueHeads: 2, feedForward: 688, vocabulary: 8192 },
  '0.1b': { hidden: 768, layers: 12, heads: 12, keyValueHeads: 4, feedForward: 2048, vocabulary: 32000 },
} as const;

/** A model to time, by name. */
export type BenchModel = keyof typeof benchModels;

/** Writes the config.json of a model, to be filled with random weights, into a new temporary folder. */
export function writeConfig(name: string, shape: Shape = benchModels[name as BenchModel]): string {
  const folder = path.join(mkdtempSync(path.join(tmpdir(), 'mooring-bench-')), name);
  mkdirSync(folder);
  const config = {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_act: 'silu',
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.keyValueHeads,
    intermediate_size: shape.feedForward,
    vocab_size: shape.vocabulary,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    rope_parameters: { rope_type: 'default', rope_theta: 10000 },
    tie_word_embeddings: true,
    initializer_range: 0.02,
  };
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}
