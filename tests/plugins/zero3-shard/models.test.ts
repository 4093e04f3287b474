import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, test } from '@jest/globals';
import { type Collectives, createTrainer, type Plugin, type RunInput } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks } from 'mooring/testing';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { quiet } from '../../core/support.ts';
import { fixture } from '../causal-lm/support.ts';
import { expectSame, type RankRun, watcher, type ZeroInput } from './sharded-runs.ts';

const engine = readInstalled() === undefined ? 'wasm' : 'native';
const data = path.resolve(fixture('qwen2'), '../../trl/pairs.jsonl');
const home = mkdtempSync(path.join(tmpdir(), 'mooring-shards-'));
afterAll(() => rmSync(home, { recursive: true }));

/** A fixture's model with a tokenizer. qwen2's embedding is its head too, llama's is not. */
function folderOf(name: string): string {
  const folder = path.join(home, name);
  cpSync(fixture(name), folder, { recursive: true });
  cpSync(path.resolve(data, '../tokenizer'), folder, { recursive: true });
  return folder;
}

interface Case {
  readonly model: string;
  readonly plugins: () => Plugin[];
  readonly options?: ZeroInput;
  readonly train?: RunInput['train'];
}

const lora = { r: 4, alpha: 8, targetModules: 'all-linear' } as const;
const cases: Readonly<Record<string, Case>> = {
  'a tied embedding': { model: 'qwen2', plugins: () => [refClone()] },
  'no tied embedding, stage 2': { model: 'llama', plugins: () => [refClone()], options: { stage: 2 } },
  'LoRA over a frozen base in bfloat16': {
    model: 'qwen2',
    plugins: () => [peftLora({ ...lora, storage: 'bfloat16' })],
  },
  'another model as the reference': { model: 'qwen2', plugins: () => [refReload({ model: folderOf('llama') })] },
  'another model as the reference, block by block from disk': {
    model: 'qwen2',
    plugins: () => [refReload({ model: folderOf('llama'), offload: 'disk' })],
  },
};

test.each(Object.entries(cases))('%s: two ranks give the figures of one', async (_, each) => {
  const whole = await runOf(each);
  for (const found of await inRanks(2, (collectives) => runOf(each, collectives))) expectSame(found, whole);
});

async function runOf({ model, plugins, options, train }: Case, collectives?: Collectives): Promise<RankRun> {
  const settings: RunInput['train'] = {
    ...{ steps: 2, batchSize: 3, learningRate: 1e-3, schedule: 'constant', maxLength: 40, engine, compile: 'off' },
    ...train,
  };
  const seen = watcher(collectives);
  const trainer = createTrainer({ model: folderOf(model), data, train: settings }, { log: quiet });
  trainer.use(causalLm(), tokenizer(), preferenceData(), dpo(), ...plugins(), seen.plugin);
  if (collectives !== undefined)
    trainer.use(zero3Shard({ persistenceThreshold: 1000, ...options }), givenRanks(collectives, 'zero3-shard'));
  await trainer.train();
  return seen.run;
}
