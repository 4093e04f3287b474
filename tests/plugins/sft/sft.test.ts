import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { createTrainer, definePlugin, type Plugin, type StepRecord } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { klPenalty } from 'mooring/plugins/kl-penalty';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { sft } from 'mooring/plugins/sft';
import { tokenizer } from 'mooring/plugins/tokenizer';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const model = mkdtempSync(path.join(tmpdir(), 'mooring-sft-'));
cpSync(path.join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(path.join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

async function recordsOf(plugins: readonly Plugin[], sharePrompts: boolean, batchSize = 2): Promise<StepRecord[]> {
  const seen: StepRecord[] = [];
  const recorder = definePlugin({
    name: 'recorder',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void seen.push(record)),
  });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const train = {
    ...({ engine: 'wasm', steps: 3, learningRate: 1e-3, schedule: 'constant', shuffle: false } as const),
    ...{ batchSize, gradientAccumulationSteps: 2 / batchSize },
  };
  await createTrainer({ model, data: path.join(fixtures, 'trl/pairs.jsonl'), train }, { log })
    .use(causalLm(), tokenizer(), preferenceData({ sharePrompts }), ...plugins, recorder())
    .train();
  return seen;
}

const near = (found: number | undefined, wanted: number | undefined) =>
  expect(Math.abs((found as number) - (wanted as number))).toBeLessThanOrEqual(1e-5 * Math.max(1, wanted as number));

test.each([true, false])(
  'without a reference it learns as the sft loss of dpo does: shared prompts %p',
  async (share) => {
    const found = await recordsOf([sft()], share);
    const wanted = await recordsOf([dpo({ lossType: 'sft' }), refClone()], share);
    expect(found).toHaveLength(3);
    found.forEach((record, at) => {
      for (const name of ['loss', 'grad_norm', 'mean_token_accuracy']) near(record[name], wanted[at]?.[name]);
      expect(record.num_tokens).toBeLessThan(wanted[at]?.num_tokens as number);
    });
  },
);

test('with a KL term it is SFT held to the reference: the mean over chosen tokens, however prompts and batches lie', async () => {
  const plugins = () => [sft(), refClone(), klPenalty({ beta: 5 })];
  const free = await recordsOf([sft()], true);
  const shared = await recordsOf(plugins(), true);
  near(shared[0]?.loss, free[0]?.loss);
  expect(shared[2]?.['kl/policy_reference']).toBeGreaterThan(1e-6);
  for (const other of [await recordsOf(plugins(), false), await recordsOf(plugins(), true, 1)])
    other.forEach((record, at) => {
      for (const name of ['loss', 'kl/policy_reference', 'grad_norm', 'entropy'])
        near(record[name], shared[at]?.[name]);
    });
});

test('the KL term is that of every reference that runs a model', async () => {
  const figures = async (...reference: Plugin[]) =>
    (await recordsOf([sft(), ...reference, klPenalty({ beta: 5 })], true)).map(
      (record) => record['kl/policy_reference'] as number,
    );
  const clone = await figures(refClone());
  (await figures(refReload({ model }))).forEach((kl, at) => {
    near(kl, clone[at]);
  });
  const [rounded] = await figures(refClone({ storage: 'bfloat16' }));
  expect(rounded).toBeLessThan(1e-3);
  const adapters = await figures(peftLora({ r: 4, targetModules: 'all-linear' })); // the reference is the base
  expect(adapters[0]).toBe(0);
  expect(adapters[2]).toBeGreaterThan(1e-4);
});
