import { cpSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { createTrainer, type Plugin, type RunInput } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { metrics } from '../../../plugins/metrics/index.ts';
import { quiet } from '../../core/support.ts';
import { folder } from './support.ts';

const whereNative = readInstalled() === undefined ? describe.skip : describe;
const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const trained = path.join(fixtures, 'trl/lora_trained');
const bema = { updateAfter: 0, everySteps: 1, refModelUpdateAfter: 0 };

interface Cell {
  readonly plugins: (model: string) => Plugin[];
  readonly compile: 'on' | 'off';
  /** Files of a checkpoint in the middle of the run, beside those that all have. */
  readonly files: readonly string[];
}

const cells: Record<string, Cell> = {
  'adapters off': { plugins: () => [peftLora({ dropout: 0.1 })], compile: 'on', files: [] },
  'the snapshot of a trained adapter, mixed with it': {
    plugins: () => [peftLora({ adapter: trained }), syncRefModel({ everySteps: 1 })],
    compile: 'off',
    files: ['reference.safetensors'],
  },
  'the snapshot of a PiSSA adapter': {
    plugins: () => [peftLora({ initialization: 'pissa' })],
    compile: 'off',
    files: [],
  },
  'a clone in bfloat16 that follows the average': {
    plugins: () => [refClone({ storage: 'bfloat16' }), syncRefModel({ everySteps: 1, bema })],
    compile: 'off',
    files: ['plugin-sync-ref-model.safetensors', 'reference.safetensors'],
  },
  'another model': { plugins: (model) => [refReload({ model })], compile: 'off', files: [] },
  'a cache': { plugins: () => [refCache()], compile: 'off', files: [] },
};

let model: string;
beforeAll(() => {
  model = folder();
  for (const part of ['models/qwen2', 'trl/tokenizer']) cpSync(path.join(fixtures, part), model, { recursive: true });
});

whereNative('a run of DPO, shuffled and with dropout, that resumes is the uninterrupted one, bit for bit', () => {
  test.each(Object.entries(cells))('against %s', async (_, cell) => {
    const whole = await train(cell, folder());
    const former = path.join(whole, 'checkpoints/step-2');
    const parts = await train(cell, folder(), former);
    const last = path.join('checkpoints', 'step-4');
    const names = readdirSync(path.join(whole, last)).filter((name) => name.endsWith('.safetensors'));
    expect(names.length).toBeGreaterThanOrEqual(2);
    for (const name of names) {
      const [one, other] = [parts, whole].map((output) => readFileSync(path.join(output, last, name)));
      expect([name, one?.equals(other as Buffer)]).toEqual([name, true]);
    }
    const figures = readFileSync(path.join(whole, 'metrics.jsonl'), 'utf8').split('\n');
    expect(readFileSync(path.join(parts, 'metrics.jsonl'), 'utf8').split('\n')).toEqual(figures.slice(2));
    const usual = ['manifest.json', 'optimizer.safetensors', 'policy.safetensors', 'state.json'];
    expect(readdirSync(former)).toEqual([...usual, ...cell.files].sort());
  });
});

whereNative('the checkpoint of an adapter', () => {
  test('has the adapter and not its base', async () => {
    const output = await train(cells['adapters off'] as Cell, folder());
    const bytesOf = (file: string) => statSync(file).size;
    const policy = bytesOf(path.join(output, 'checkpoints/step-4/policy.safetensors'));
    expect(policy).toBeLessThan(bytesOf(path.join(model, 'model.safetensors')) / 5);
  });
});

async function train({ plugins, compile }: Cell, output: string, resume?: string): Promise<string> {
  const input: RunInput = {
    model,
    data: path.join(fixtures, 'trl/pairs.jsonl'),
    output,
    train: {
      steps: 4,
      batchSize: 4,
      learningRate: 1e-3,
      maxLength: 96,
      engine: 'native',
      compile,
      disableDropout: false,
    },
  };
  const common = [
    causalLm(),
    tokenizer(),
    preferenceData(),
    dpo(),
    metrics(),
    checkpoint({ everySteps: 1, keepLast: 9 }),
  ];
  await createTrainer(input, { log: quiet })
    .use(...common, ...plugins(model))
    .train({ resume: resume ?? false });
  return output;
}
