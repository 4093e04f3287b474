import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  type Collectives,
  createTrainer,
  Driver,
  definePlugin,
  type OutputName,
  type Pass,
  type Plugin,
  packBranches,
  packRows,
  type RunInput,
  type StepRecord,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { klPenalty } from 'mooring/plugins/kl-penalty';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { sft } from 'mooring/plugins/sft';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { quiet } from '../../core/support.ts';
import { dropping, fixture } from '../causal-lm/support.ts';
import { distance, splitting, valuesOf } from './support.ts';

const engine = readInstalled() === undefined ? 'wasm' : 'native';
const data = path.resolve(fixture('qwen2'), '../../trl/pairs.jsonl');
const model = mkdtempSync(path.join(tmpdir(), 'mooring-split-'));
cpSync(fixture('qwen2'), model, { recursive: true });
cpSync(path.resolve(data, '../tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

interface Case {
  readonly ranks: number;
  readonly plugins: () => Plugin[];
  readonly model?: () => string;
  readonly train?: RunInput['train'];
}

const cases: Readonly<Record<string, Case>> = {
  'one row each, sigmoid': { ranks: 4, plugins: () => [dpo(), refClone()] },
  'four rows on three ranks, aot, which sorts all pairs': {
    ranks: 3,
    plugins: () => [dpo({ lossType: 'aot' }), refClone()],
  },
  'four rows on seven ranks, with accumulation': {
    ranks: 7,
    plugins: () => [dpo(), refClone()],
    train: { gradientAccumulationSteps: 2 },
  },
  'the exact KL as a penalty': { ranks: 3, plugins: () => [dpo(), klPenalty(), refClone()] },
  'eight rows apart on three ranks, with dropout': {
    ranks: 3,
    plugins: () => [dpo(), refClone()],
    model: () => dropping('gpt2'),
    train: { disableDropout: false },
  },
  'an adapter with dropout': {
    ranks: 3,
    plugins: () => [dpo(), peftLora({ r: 4, dropout: 0.2, targetModules: 'all-linear' })],
    train: { disableDropout: false },
  },
  'chosen ones only': { ranks: 2, plugins: () => [sft()] },
};

test.each(Object.entries(cases))('figures of all ranks are those of one rank within 1e-5: %s', async (_, each) => {
  const [whole] = await inRanks(1, (collectives) => figuresOf(each, collectives));
  const before = tf.memory().numTensors;
  const all = await inRanks(each.ranks, (collectives) => figuresOf(each, collectives));
  expect(tf.memory().numTensors).toBe(before);
  for (const found of all) {
    expect(found).toEqual(all[0]);
    for (const [at, record] of found.entries()) {
      expect(Object.keys(record)).toEqual(Object.keys(whole?.[at] ?? {}));
      expect(distance(Object.values(record), Object.values(whole?.[at] ?? {}))).toBeLessThan(1e-5);
    }
  }
});

/** The record of every step, and what the evaluation after the last one gives. */
async function figuresOf({ plugins, model: folder = () => model, train }: Case, collectives: Collectives) {
  const seen: StepRecord[] = [];
  const record = definePlugin({
    name: 'record',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void seen.push(record)),
  });
  const settings: RunInput['train'] = {
    ...{ steps: 3, batchSize: 4, learningRate: 1e-3, schedule: 'constant', shuffle: false, engine },
    ...{ evalEverySteps: 3, maxLength: 40 },
    ...train,
  };
  const trainer = createTrainer({ model: folder(), data, evalData: data, train: settings }, { log: quiet });
  trainer.use(causalLm(), tokenizer(), preferenceData(), ...plugins(), record());
  const { evaluation } = await trainer.use(splitting(collectives), givenRanks(collectives)).train();
  return [...seen, evaluation ?? {}];
}

test.each([3, 7])(
  'rows of the toy model on %s ranks give the figures of one, bit for bit where nothing is summed',
  async (ranks) => {
    const run = async (collectives: Collectives) => {
      const records: StepRecord[] = [];
      const record = definePlugin({
        name: 'record',
        apiVersion: 1,
        apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void records.push(record)),
      });
      const { trainer } = toyRun([record(), splitting(collectives), givenRanks(collectives)]);
      await trainer.train();
      return records;
    };
    const [whole = []] = await inRanks(1, run);
    for (const records of await inRanks(ranks, run)) {
      expect(records[0]?.loss).toBe(whole[0]?.loss);
      for (const [at, record] of records.entries())
        expect(distance(Object.values(record), Object.values(whole[at] ?? {}))).toBeLessThan(1e-5);
    }
  },
);

const sequences = [0, 1, 2, 3].map((row) => ({
  ids: Array.from({ length: 3 + 2 * row }, (_, at) => (7 * row + 5 * at) % 90),
  completionStart: 2,
}));
const outputs: OutputName[] = ['states', 'headWeight', 'logps', 'entropy', 'scores', 'correct'];

test.each([
  ['rows', packRows(sequences)],
  ['rows that fork', packBranches([sequences, sequences.toReversed()])],
])('every output of %s has all targets in their order on every rank, and no tensor is left', async (_, rows) => {
  const run = (collectives: Collectives) => {
    const trainer = createTrainer({ model, train: { engine } }, { log: quiet });
    trainer.use(causalLm(), splitting(collectives), givenRanks(collectives));
    return trainer.withServices({ driver: Driver }, async ({ driver }) => {
      const pass: Pass = { key: 'policy', view: 'policy', rows, outputs, gradient: false };
      const found = await driver.forward(pass);
      const { states, headWeight } = found;
      const reference = { states: tf.mul(states as tf.Tensor, 1.5), headWeight: headWeight as tf.Tensor };
      const compared = await driver.forward({ ...pass, outputs: ['kl', 'jensenShannon'], reference });
      const values = await valuesOf({ ...found, ...compared });
      tf.dispose([...Object.values(found), ...Object.values(compared), reference.states]);
      driver.release();
      return values;
    });
  };
  const [whole = {}] = await inRanks(1, run);
  const before = tf.memory().numTensors;
  for (const values of await inRanks(3, run)) {
    expect(Object.keys(values).sort()).toEqual(Object.keys(whole).sort());
    for (const [name, value] of Object.entries(values))
      expect([name, distance(value, whole[name] ?? [])]).toEqual([name, expect.closeTo(0, 5)]);
  }
  expect(tf.memory().numTensors).toBe(before);
});
