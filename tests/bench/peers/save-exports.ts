import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Trains each family of the fixtures for two steps over two ranks, exports it, and scores the fixtures' tokens with the
 * export: `load_exports.py` then says whether transformers computes the same with it.
 *
 *     node --import ./core/cli/register.js tests/bench/peers/save-exports.ts FOLDER
 */
const [, , output = '.'] = process.argv;
const families = ['gpt2', 'llama', 'qwen2', 'qwen3'];
const root = path.resolve(import.meta.dirname, '../../..');
const fixtures = path.join(root, 'tests/fixtures');
for (const family of families) {
  const folder = path.resolve(output, family);
  const model = path.join(folder, 'base');
  mkdirSync(folder, { recursive: true });
  for (const from of [`models/${family}`, 'trl/tokenizer'])
    cpSync(path.join(fixtures, from), model, { recursive: true });
  const run = {
    model,
    data: path.join(fixtures, 'trl/pairs.jsonl'),
    output: path.join(folder, 'run'),
    train: { steps: 2, batchSize: 4, learningRate: 1e-2, schedule: 'constant', compile: 'off' },
    plugins: ['dpo', 'ref-clone', { 'zero3-shard': { ranks: 2, persistenceThreshold: 100 } }],
  };
  writeFileSync(path.join(folder, 'run.yaml'), JSON.stringify(run)); // JSON is YAML
  mooring('train', path.join(folder, 'run.yaml'));
  const tokens = ['--tokens', path.join(model, 'expected.safetensors'), '--logits'];
  mooring(
    'score',
    '--model',
    path.join(folder, 'run/model'),
    ...tokens,
    '--output',
    path.join(folder, 'scores.safetensors'),
  );
}
writeFileSync(path.join(output, 'families.json'), JSON.stringify(families));

function mooring(...args: string[]): void {
  const program = ['--import', path.join(root, 'core/cli/register.js'), path.join(root, 'core/cli/mooring.js')];
  execFileSync(process.execPath, [...program, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}
