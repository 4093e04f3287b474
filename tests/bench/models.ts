import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Shape } from './operations.ts';

/** The shapes that are timed: the same as the peers' `make_models.py`. */
export const benchModels = {
  tiny: { hidden: 256, layers: 4, heads: 4, keyValueHeads: 2, feedForward: 688, vocabulary: 8192 },
  '0.1b': { hidden: 768, layers: 12, heads: 12, keyValueHeads: 4, feedForward: 2048, vocabulary: 32000 },
} as const;

/** A model to time, by name. */
export type BenchModel = keyof typeof benchModels;

/**
 * The Hugging Face folder of a model with random weights. It lies among the temporary files, is written by another
 * process when it is first asked for, and stays: what is timed loads it, as a run loads a model.
 */
export function modelFolder(name: string, shape: Shape = benchModels[name as BenchModel]): string {
  const config = JSON.stringify(configOf(shape));
  const version = createHash('sha256').update(config).digest('hex').slice(0, 8);
  const folder = path.join(tmpdir(), 'mooring-bench', `${name}-${version}`);
  if (existsSync(path.join(folder, 'model.safetensors'))) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'config.json'), config);
  const at = (file: string) => fileURLToPath(new URL(file, import.meta.url));
  execFileSync(process.execPath, ['--import', at('../../core/cli/register.js'), at('write-model.ts'), folder]);
  return folder;
}

function configOf(shape: Shape) {
  return {
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
}
