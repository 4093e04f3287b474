import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  type DivergenceName,
  exactDivergence,
  type LogRatioStatistic,
  logRatioStatistic,
  maskedMean,
  openSafetensors,
} from 'mooring';
import { openEngine } from '../../core/engine/engine.ts';
import { readInstalled } from '../../core/engine/install/cache.ts';

const fixtures = path.resolve(import.meta.dirname, '../fixtures');
const engines = ['cpu', 'wasm', ...(readInstalled() === undefined ? [] : ['native' as const])] as const;
const adapters = JSON.parse(readFileSync(`${fixtures}/peft/expected.json`, 'utf8')) as Record<
  string,
  Record<string, number> & { base: string }
>;

async function tensorOf(file: string, name: string): Promise<tf.Tensor> {
  const source = await openSafetensors(file);
  const values = await source.readTensor(name);
  const shape = [...(source.entries.get(name)?.shape ?? [])];
  await source.close();
  return tf.tensor(values, shape, values instanceof Int32Array ? 'int32' : 'float32');
}

/** What an adapter's policy and reference predict, and which positions are real. */
async function predictionsOf(adapter: string) {
  const base = `${fixtures}/models/${adapters[adapter]?.base}/expected.safetensors`;
  const own = `${fixtures}/peft/${adapter}/expected.safetensors`;
  return {
    policy: await tensorOf(own, 'logits_enabled'),
    reference: await tensorOf(own, 'logits_disabled'),
    ids: await tensorOf(base, 'input_ids'),
    mask: tf.cast(await tensorOf(base, 'attention_mask'), 'float32'),
  };
}

/** `torch.nn.functional.kl_div(input, target, reduction='batchmean')` by its definition, of any shape. */
function klDivBatchmean(input: tf.Tensor, target: tf.Tensor): number {
  const pointwise = tf.mul(target, tf.sub(tf.log(target), input));
  return tf.div(tf.sum(pointwise), input.shape[0] as number).dataSync()[0] as number;
}

const scalar = (tensor: tf.Tensor) => tensor.dataSync()[0] as number;
const within = (found: number | undefined, wanted: number | undefined) =>
  expect(Math.abs((found as number) - (wanted as number))).toBeLessThanOrEqual(
    Math.max(1e-6, 1e-4 * Math.abs(wanted as number)),
  );

/** Every figure of an adapter under the names of expected.json, and what the call gives for a batch that is not flattened. */
async function figuresOf(adapter: string): Promise<Record<string, number>> {
  const { policy, reference, ids, mask } = await predictionsOf(adapter);
  const mean = (of: DivergenceName) => scalar(maskedMean(exactDivergence(policy, reference, { of }), mask));
  const [batch, time, vocabulary] = policy.shape as [number, number, number];
  const [logPolicy, logReference] = [tf.logSoftmax(policy), tf.logSoftmax(reference)];
  const real = await tf.whereAsync(tf.cast(tf.reshape(mask, [-1]), 'bool'));
  const flat = (x: tf.Tensor) => tf.gather(tf.reshape(x, [batch * time, vocabulary]), tf.reshape(real, [-1]));
  const next = tf.oneHot(tf.slice(tf.cast(ids, 'int32'), [0, 1], [batch, time - 1]) as tf.Tensor2D, vocabulary);
  const observed = (log: tf.Tensor) =>
    tf.sum(tf.mul(tf.slice(log, [0, 0, 0], [batch, time - 1, vocabulary]), next), -1);
  const nextMask = tf.slice(mask, [0, 1], [batch, time - 1]);
  const statistic = (name: LogRatioStatistic) =>
    scalar(maskedMean(logRatioStatistic(name, observed(logPolicy), observed(logReference)), nextMask));
  const masked = (log: tf.Tensor) => tf.mul(tf.exp(log), tf.expandDims(mask, -1));
  return {
    kl_policy_reference_mean: mean('kl'),
    kl_reference_policy_mean: mean('referenceKl'),
    torch_kl_div_batchmean: klDivBatchmean(flat(logPolicy), flat(tf.exp(logReference))),
    k1_mean: statistic('k1'),
    k2_mean: statistic('k2'),
    k3_mean: statistic('k3'),
    jensen_shannon_mean: mean('jensenShannon'),
    batchmean_of_batch: scalar(tf.div(tf.sum(tf.mul(masked(logReference), tf.sub(logReference, logPolicy))), batch)),
    real_tokens: real.shape[0] as number,
  };
}

describe.each(engines)('on %s, the figures that torch computed of PEFT adapters', (engine) => {
  beforeAll(async () => {
    await openEngine(engine);
  });

  const names = readdirSync(`${fixtures}/peft`).filter((name) => name in adapters);
  // the cpu engine takes seconds for each
  test.each(engine === 'cpu' ? names.slice(0, 1) : names)('%s', async (adapter) => {
    const found = await figuresOf(adapter);
    const wanted = adapters[adapter] as Record<string, number>;
    for (const name of Object.keys(found).filter((name) => name in wanted)) within(found[name], wanted[name]);
    expect(Object.keys(found).filter((name) => name in wanted)).toHaveLength(6);
  });
});

test('the page on the KL shows the figures that are computed, and which direction the call of torch computes', async () => {
  await openEngine('wasm');
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/kl.md'), 'utf8');
  const adapter = 'qwen2_all_linear_rslora';
  const found = await figuresOf(adapter);
  const rows = [...page.matchAll(/^\|.*\| `(\w+)` \| ([-\d.]+) \|$/gm)].map(
    ([, name, value]) => [name, value] as const,
  );
  expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining(Object.keys(found)));
  for (const [name, value] of rows) {
    expect(Number(value)).toBeCloseTo(found[name as string] as number, name === 'batchmean_of_batch' ? 3 : 5);
  }
  within(found.torch_kl_div_batchmean, found.kl_reference_policy_mean);
  const perBatch = (found.batchmean_of_batch as number) * 3;
  within(perBatch, (found.kl_reference_policy_mean as number) * (found.real_tokens as number));
});
