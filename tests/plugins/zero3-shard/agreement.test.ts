import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type Collectives, createTrainer, definePlugin, ParameterStore, type Plugin, type RunInput } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { sft } from 'mooring/plugins/sft';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { z } from 'zod';
import { agreeOn } from '../../../plugins/zero3-shard/agree/agree-on-run.ts';
import { plugin, quiet } from '../../core/support.ts';
import { fixture } from '../causal-lm/support.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mooring-agreement-'));
afterAll(() => rmSync(folder, { recursive: true }));
const data = copied('pairs.jsonl', path.resolve(fixture('qwen2'), '../../trl/pairs.jsonl'));
const model = copiedModel('model');

interface Settings {
  readonly model: string;
  readonly data: string;
  readonly folder?: string;
  readonly train: RunInput['train'];
  readonly plugins: readonly Plugin[];
}

const common: Settings = { model, data, train: {}, plugins: [dpo(), refClone()] };
const observer = definePlugin({ name: 'observer', apiVersion: 1, preservesTraining: true, apply: () => undefined });
const longer = definePlugin({
  name: 'longer',
  apiVersion: 1,
  options: z.strictObject({ by: z.number() }),
  apply: () => undefined,
});

test.each<[string, Partial<Settings>, RegExp]>([
  ['the seed', { train: { seed: 7 } }, /train\.seed is 42 on rank 0 and 7 on ranks 1, 2\./],
  ['when to evaluate', { train: { evalEverySteps: 2 } }, /evalEverySteps is not set on rank 0 and 2 on ranks 1, 2/],
  ['the objective', { plugins: [sft()] }, /plugins is .*"dpo".* on rank 0 and .*"sft".* on ranks 1, 2/],
  ['an option', { plugins: [dpo({ beta: 0.2 }), refClone()] }, /: dpo\.beta is 0\.1 on rank 0 and 0\.2 on ranks 1, 2/],
  ['what only watches', { plugins: [dpo(), refClone(), observer()] }, /plugins is .*"observer".* on ranks 1, 2/],
  ['the data', { data: changed('other.jsonl', data) }, /: data is \w+ on rank 0 and \w+ on ranks 1, 2/],
  ['the architecture', { model: rewired('rewired') }, /: computation is \w+ on rank 0 and \w+ on ranks 1, 2/],
  [
    'one weight',
    { model: bent('bent') },
    /: file model\.safetensors is \d+ bytes, \w+ on rank 0 and \d+ bytes, \w+ on ranks 1, 2\./,
  ],
])('every rank refuses a run of which others differ in %s, before weights are read', async (_, other, message) => {
  const ends = await inRanks(3, (collectives) => endOf({ ...common, ...(collectives.rank > 0 && other) }, collectives));
  for (const { error, hadWeights } of ends) {
    expect(error).toMatchObject({ code: 'RANKS_DIFFER', message: expect.stringMatching(message) });
    expect(hadWeights).toBe(false);
  }
});

test('ranks that are about to do the same begin, wherever their files are', async () => {
  const elsewhere = { model: copiedModel('elsewhere'), data: copied('elsewhere.jsonl', data) };
  const options = { plugins: [dpo(), refClone(), longer({ by: 2 })] };
  const ends = await inRanks(2, (collectives) =>
    endOf({ ...common, ...options, ...(collectives.rank > 0 && elsewhere) }, collectives),
  );
  expect(ends).toEqual([1, 2].map(() => ({ error: undefined, hadWeights: true })));
});

test('every rank refuses a run of which others have another weight in a folder that a plugin reads', async () => {
  const reading = definePlugin({
    name: 'reading',
    apiVersion: 1,
    options: z.strictObject({ model: z.string() }),
    folders: ({ model }) => [model],
    apply: () => undefined,
  });
  const plugins = [dpo(), refClone(), reading({ model: 'read' })];
  copied('first/read', model);
  copied('others/read', bent('bent-read'));
  const ends = await inRanks(2, (collectives) =>
    endOf({ ...common, plugins, folder: path.join(folder, collectives.rank === 0 ? 'first' : 'others') }, collectives),
  );
  const message = expect.stringMatching(/: read: file model\.safetensors is \d+ bytes, \w+ on rank 0 and/);
  for (const { error } of ends) expect(error).toMatchObject({ code: 'RANKS_DIFFER', message });
});

test('values that every rank holds whole are compared once they are loaded', async () => {
  const messages = await inRanks(3, async (collectives) => {
    const changing = plugin(
      'changing',
      ({ hooks, services }) => {
        hooks.modelReady.tap(() => {
          if (collectives.rank === 1) services.store.write('head.bias', 'policy', tf.ones([8]));
        });
      },
      { store: ParameterStore },
    );
    const { trainer } = toyRun([zero3Shard(), givenRanks(collectives, 'zero3-shard'), changing]);
    return trainer.train().then(
      () => 'no error',
      (error) => error.message,
    );
  });
  for (const message of messages)
    expect(message).toMatch(/: parameter head\.bias is \w{12} on rank 0 and \w{12} on rank 1\./);
});

test('every field that differs is said, with each value and the ranks that have it', async () => {
  const values = [{ alpha: '1', bravo: 'x' }, { alpha: '2', bravo: 'x' }, { alpha: '3' }, { alpha: '2', bravo: 'x' }];
  const messages = await inRanks(4, (collectives) =>
    agreeOn(collectives, values[collectives.rank] as Record<string, string>).catch((error) => error.message),
  );
  const said =
    'alpha is 1 on rank 0 and 2 on ranks 1, 3; alpha is 1 on rank 0 and 3 on rank 2; bravo is x on rank 0 and not set on rank 2.';
  for (const message of messages) expect(message).toContain(said);
});

/** How a run of a rank ended, and whether it came to read weights. */
async function endOf({ train, plugins, ...files }: Settings, collectives: Collectives) {
  let hadWeights = false;
  const watching = plugin('watching', ({ hooks }) => {
    hooks.modelDefined.tap(() => {
      hadWeights = true;
    });
  });
  const settings = { steps: 1, engine: 'wasm', batchSize: 1, maxLength: 40, ...train } as const;
  const error = await createTrainer({ ...files, train: settings }, { log: quiet })
    .use(
      causalLm(),
      tokenizer(),
      preferenceData(),
      ...plugins,
      zero3Shard(),
      givenRanks(collectives, 'zero3-shard'),
      watching,
    )
    .train()
    .then(
      () => undefined,
      (error) => error,
    );
  return { error, hadWeights };
}

function copied(name: string, source: string): string {
  const target = path.join(folder, name);
  cpSync(source, target, { recursive: true });
  return target;
}

function copiedModel(name: string): string {
  cpSync(path.resolve(fixture('qwen2'), '../../trl/tokenizer'), path.join(folder, name), { recursive: true });
  return copied(name, fixture('qwen2'));
}

/** A copy of a file of pairs, of which one says something else in as many bytes. */
function changed(name: string, source: string): string {
  const target = path.join(folder, name);
  writeFileSync(target, readFileSync(source, 'utf8').replace('152', '153'));
  return target;
}

/** A copy of the model that normalises otherwise. */
function rewired(name: string): string {
  const file = path.join(copiedModel(name), 'config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), rms_norm_eps: 0.01 }));
  return path.dirname(file);
}

/** A copy of the model of which one byte of one weight is another. */
function bent(name: string): string {
  const file = path.join(copiedModel(name), 'model.safetensors');
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 2) ^ 1, bytes.length - 2);
  writeFileSync(file, bytes);
  return path.dirname(file);
}
