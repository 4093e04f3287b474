import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  createTrainer,
  definePlugin,
  Engine,
  Objective,
  type Plugin,
  type PreferenceBatch,
  type StepRecord,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { klPenalty } from 'mooring/plugins/kl-penalty';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { toyRun } from 'mooring/testing';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { answering } from '../../core/answering.ts';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const model = mkdtempSync(path.join(tmpdir(), 'mooring-kl-penalty-'));
cpSync(path.join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(path.join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

/** Negative log-likelihood of all completions, without a reference: any objective. */
const likelihood = (more: Partial<Objective> = {}) =>
  definePlugin({
    name: 'likelihood',
    apiVersion: 1,
    apply({ provide }) {
      const objective: Objective = {
        accepts: 'preference',
        passes: (batch) => [
          { key: 'own', of: 'policy', rows: (batch as PreferenceBatch).rows, outputs: ['logps', 'entropy'] },
        ],
        terms: ({ outputs }) => [{ name: 'nll', sum: tf.neg(tf.sum(outputs.own?.logps as tf.Tensor)), per: 'token' }],
        metrics: ({ outputs, batch }) => ({
          nll: { value: tf.neg(tf.mean(outputs.own?.logps as tf.Tensor)), reduce: 'mean', weight: batch.counts.token },
        }),
        ...more,
      };
      provide(Objective, { uses: {}, create: () => objective });
    },
  })();

const recorder = (seen: StepRecord[]) =>
  definePlugin({
    name: 'recorder',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void seen.push(record)),
  })();

type Settings = NonNullable<Parameters<typeof createTrainer>[0]['train']>;

async function recordsOf(plugins: readonly Plugin[], train: Settings = {}): Promise<StepRecord[]> {
  const seen: StepRecord[] = [];
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const settings: Settings = {
    engine: 'wasm',
    steps: 3,
    batchSize: 2,
    learningRate: 1e-3,
    schedule: 'constant',
    shuffle: false,
    ...train,
  };
  await createTrainer({ model, data: path.join(fixtures, 'trl/pairs.jsonl'), train: settings }, { log })
    .use(causalLm(), tokenizer(), preferenceData(), ...plugins, recorder(seen))
    .train();
  return seen;
}

const near = (found: number | undefined, wanted: number) =>
  expect(Math.abs((found as number) - wanted)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(wanted)));

describe('the divergence that is logged is the one that is trained on', () => {
  test.each([
    ['kl/policy_reference', {}],
    ['kl/reference_policy', { direction: 'reference-policy' }],
    ['kl/jensen_shannon', { direction: 'jensen-shannon' }],
    ['log_ratio/k1', { estimator: 'k1', gradient: 'unbiased' }],
    ['log_ratio/k2', { estimator: 'k2' }],
    ['log_ratio/k3', { estimator: 'k3' }],
  ] as const)('%s: the loss is that of the objective and beta times it', async (metric, options) => {
    const records = await recordsOf([likelihood(), refClone(), klPenalty({ beta: 20, ...options })]);
    for (const record of records) near(record.loss, (record.nll as number) + 20 * (record[metric] as number));
    expect(records[0]?.[metric]).toBeCloseTo(0, 6);
    expect(Math.abs(records[2]?.[metric] as number)).toBeGreaterThan(1e-6);
  });
});

describe('it holds the policy back:', () => {
  test.each([
    ['kl/policy_reference', {}],
    ['kl/reference_policy', { direction: 'reference-policy' }],
    ['kl/jensen_shannon', { direction: 'jensen-shannon' }],
    ['log_ratio/k3', { estimator: 'k3' }],
  ] as const)('%s', async (metric, options) => {
    const last = async (beta: number) =>
      (await recordsOf([likelihood(), refClone(), klPenalty({ beta, ...options })], { steps: 5 })).at(-1)?.[
        metric
      ] as number;
    const [free, held] = [await last(1e-6), await last(300)];
    expect(held).toBeLessThan(0.7 * free);
  });
});

test('with beta 0 there is no reference, and no figure of one', async () => {
  for (const estimator of ['exact', 'k3'] as const) {
    const records = await recordsOf([likelihood(), klPenalty({ beta: 0, estimator })]);
    expect(records).toHaveLength(3);
    for (const record of records) {
      expect(Object.keys(record).filter((name) => /kl|log_ratio/.test(name))).toEqual([]);
      expect(Object.values(record).filter((value) => !Number.isFinite(value))).toEqual([]);
      near(record.loss, record.nll as number);
    }
  }
});

test('otherwise a reference is needed', async () => {
  for (const options of [{}, { estimator: 'k3' } as const])
    await expect(recordsOf([likelihood(), klPenalty(options)])).rejects.toMatchObject({
      code: 'SERVICE_MISSING',
      message: expect.stringContaining('kl-penalty'), // and not the objective, in the first step
    });
});

test('beside dpo its reference pass serves both, and accumulated micro-batches give the figures of one batch', async () => {
  for (const options of [{}, { estimator: 'k3' } as const]) {
    const plugins = () => [dpo(), refClone(), klPenalty({ beta: 1, ...options })];
    const whole = await recordsOf(plugins());
    const parts = await recordsOf(plugins(), { batchSize: 1, gradientAccumulationSteps: 2 });
    whole.forEach((record, at) => {
      for (const name of ['loss', 'grad_norm', options.estimator === 'k3' ? 'log_ratio/k3' : 'kl/policy_reference'])
        near(parts[at]?.[name], record[name] as number);
    });
  }
});

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;
ifInstalled('on the native engine', () => {
  test('a compiled run is that of the eager ones, and leaves no tensor behind', async () => {
    const counts: object[] = [];
    const counter = definePlugin({
      name: 'counter',
      apiVersion: 1,
      uses: { engine: Engine },
      apply: ({ hooks, services }) => hooks.stepEnd.tap(() => void counts.push(services.engine.memory())),
    });
    const plugins = () => [likelihood(), refClone(), klPenalty({ beta: 20 })];
    const wasm = await recordsOf(plugins(), { steps: 3, learningRate: 1e-4 });
    const eager = await recordsOf([...plugins(), counter()], {
      engine: 'native',
      compile: 'off',
      steps: 3,
      learningRate: 1e-4,
    });
    expect(counts[2]).toEqual(counts[1]);
    counts.length = 0;
    const compiled = await recordsOf([...plugins(), counter()], {
      engine: 'native',
      compile: 'on',
      steps: 3,
      learningRate: 1e-4,
    });
    expect(counts[2]).toEqual(counts[1]);
    compiled.forEach((record, at) => {
      for (const name of ['loss', 'kl/policy_reference', 'nll']) {
        near(record[name], wasm[at]?.[name] as number);
        near(eager[at]?.[name], wasm[at]?.[name] as number);
      }
    });
  });
});

test('a loss that depends on an output which its pass does not differentiate is refused', async () => {
  const careless = likelihood({
    terms: ({ outputs }) => [{ name: 'entropy', sum: tf.sum(outputs.own?.entropy as tf.Tensor), per: 'token' }],
  });
  await expect(recordsOf([careless])).rejects.toMatchObject({
    code: 'LOSS_UNDIFFERENTIATED',
    message: expect.stringMatching(/output entropy of the pass own, which is differentiated by logps/),
  });
});

test('a reference that gives no prediction cannot be compared with exactly, and the statistics are named', async () => {
  await expect(recordsOf([likelihood(), refClone(), answering, klPenalty()])).rejects.toMatchObject({
    code: 'KL_UNCOMPARED',
    message: expect.stringMatching(/kl-penalty does with `estimator: k3`/),
  });
  const [record] = await recordsOf([likelihood(), refClone(), answering, klPenalty({ estimator: 'k2' })], { steps: 1 });
  expect(record?.['log_ratio/k2']).toBeGreaterThan(1);
});

test.each([
  [{ estimator: 'k1' }, 'KL_K1_TEACHES_NOTHING'],
  [{ estimator: 'k3', direction: 'reference-policy' }, 'KL_OPTION_UNREAD'],
  [{ gradient: 'unbiased' }, 'KL_OPTION_UNREAD'],
] as const)('%j is refused: %s', (options, code) => {
  expect(() => toyRun([klPenalty(options)]).trainer.explain()).toThrow(expect.objectContaining({ code }));
});
