import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createTrainer } from 'mooring';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { runCommandLine } from '../../../core/cli/main.ts';
import { defaults } from '../../../plugins/index.ts';

/**
 * Trains an adapter of each kind for two steps on the fixtures, saves it, and scores the fixtures' tokens with it:
 * `load_adapters.py` then says whether PEFT computes the same with what was saved.
 *
 *     node --import ./core/cli/register.js tests/bench/peers/save-adapters.ts FOLDER
 */
const kinds: Record<string, { base: string; options: Record<string, unknown> }> = {
  default: { base: 'qwen2', options: {} },
  all_linear_rslora: { base: 'qwen2', options: { targetModules: 'all-linear', rslora: true, r: 4 } },
  dora: { base: 'qwen2', options: { dora: true, targetModules: ['q_proj', 'up_proj'] } },
  regex: { base: 'llama', options: { targetModules: String.raw`.*layers\.[02]\.mlp\.(up|down)_proj`, alpha: 12.5 } },
  patterns: {
    base: 'qwen2',
    options: {
      targetModules: ['q_proj', 'down_proj'],
      rankPattern: { down_proj: 2, 'layers.1.self_attn.q_proj': 6 },
      alphaPattern: { down_proj: 3 },
      layersToTransform: [0, 1],
    },
  },
  bias_lora_only: { base: 'qwen2', options: { bias: 'lora_only' } },
  bias_all: { base: 'gpt2', options: { bias: 'all', targetModules: ['c_attn', 'c_proj'] } },
  embedding: { base: 'llama', options: { targetModules: ['embed_tokens', 'k_proj'] } },
  tied_embedding: { base: 'qwen2', options: { targetModules: ['embed_tokens', 'k_proj'] } },
  head_saved: { base: 'llama', options: { modulesToSave: ['lm_head'] } },
  norm_saved: {
    base: 'qwen3',
    options: { modulesToSave: ['model.norm'], excludeModules: ['layers.0.self_attn.q_proj'] },
  },
  pissa: { base: 'qwen2', options: { initialization: 'pissa', r: 4 } },
  pissa_patterns_rslora: {
    base: 'llama',
    options: {
      initialization: 'pissa',
      rslora: true,
      targetModules: 'all-linear',
      rankPattern: { q_proj: 3 },
      alphaPattern: { down_proj: 4 },
    },
  },
};

const [, , output = '.'] = process.argv;
const terminal = { out: () => {}, err: (text: string) => void process.stderr.write(text) };
const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
for (const [name, { base, options }] of Object.entries(kinds)) {
  const folder = path.join(output, name);
  const model = path.join(folder, 'base');
  mkdirSync(folder, { recursive: true });
  for (const from of [`models/${base}`, 'trl/tokenizer']) cpSync(path.join(fixtures, from), model, { recursive: true });
  const train = { steps: 2, batchSize: 4, learningRate: 1e-2, schedule: 'constant', compile: 'off' } as const;
  const trainer = createTrainer({ model, data: path.join(fixtures, 'trl/pairs.jsonl'), output: folder, train });
  await trainer.use(...defaults(), dpo(), peftLora(options)).train();
  const files = { adapter: path.join(folder, 'adapter'), tokens: path.join(model, 'expected.safetensors') };
  const score = ['score', '--model', model, '--adapter', files.adapter, '--tokens', files.tokens, '--logits'];
  const code = await runCommandLine([...score, '--output', path.join(folder, 'scores.safetensors')], terminal);
  if (code !== 0) process.exit(code);
}
writeFileSync(path.join(output, 'kinds.json'), JSON.stringify(Object.keys(kinds)));
