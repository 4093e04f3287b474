import { mkdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Driver, definePlugin, type Plugin, packRows, Reference, type StepRecord } from 'mooring';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { readRunFile } from '../../../core/cli/run-file.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { failureOf } from '../../core/support.ts';
import { modelFolder, type Observed, smallerModel, trainAgainst } from './support.ts';

const qwen2 = modelFolder('qwen2');
const offloads = ['memory', 'disk'] as const;
type Mode = readonly [engine: 'native' | 'wasm' | 'cpu', compile: 'on' | 'off'];
const native: readonly Mode[] =
  readInstalled() === undefined
    ? []
    : [
        ['native', 'off'],
        ['native', 'on'],
      ];
const elsewhere: readonly Mode[] = [
  ['wasm', 'off'],
  ['cpu', 'off'],
];
const short = { steps: 1, batchSize: 1, engine: 'wasm' } as const;

/** What the log says of the reference. */
function said({ logged }: Observed) {
  const line = logged.find(({ message }) => message.startsWith('reference: '));
  return line?.details as { kind: string; fingerprint: string; kl: number; bytesResident: number };
}

/** A run against the clone, once for each engine and mode. */
function clonedOn(...[engine, compile]: Mode): Promise<Observed> {
  const key = `${engine} ${compile}`;
  const run = runs.get(key) ?? trainAgainst(refClone(), { model: qwen2, train: trainOn(engine, compile) });
  runs.set(key, run);
  return run;
}
const runs = new Map<string, Promise<Observed>>();
const trainOn = (...[engine, compile]: Mode) => ({
  engine,
  compile,
  ...(engine === 'cpu' ? { steps: 1, batchSize: 1 } : {}),
});

describe.each([...native, ...elsewhere])('on %s, compile %s', (engine, compile) => {
  const train = trainOn(engine, compile);

  it.each(offloads)(
    'the folder that training starts from, on %s, gives the very figures of a clone',
    async (offload) => {
      const cloned = await trainAgainst(refClone(), { model: qwen2, train });
      const reloaded = await trainAgainst(refReload({ model: qwen2, offload }), { model: qwen2, train });
      expect(reloaded.records).toEqual(cloned.records);
      expect(said(reloaded)).toEqual({ ...said(cloned), kind: 'reload', bytesResident: expect.any(Number) });
      expect(said(reloaded)).toMatchObject({ kl: 0, bytesResident: offload === 'disk' ? 0 : 352704 });
      const [first, ...later] = reloaded.memory;
      expect(later).toEqual(later.map(() => first));
      const executables = ({ logged }: Observed) =>
        logged.filter(({ message }) => message.includes('executables')).at(-1);
      // its layers have the shapes of the policy's, and share what was compiled
      expect(executables(reloaded)?.details).toEqual(
        executables(cloned) && expect.objectContaining({ executables: 11 }),
      );
    },
  );
});

it.each(offloads)('a reference of another family, on %s, is that model and nothing else', async (offload) => {
  const [gpt2, llama] = [modelFolder('gpt2'), modelFolder('llama')];
  const first = async (model: string, reference: Plugin) => {
    const seen = await trainAgainst(reference, { model, train: { ...short, batchSize: 4 } });
    return { ...seen, record: seen.records[0] as StepRecord };
  };
  const [policy, other] = [await first(gpt2, refClone()), await first(llama, refClone())];
  const mixed = await first(gpt2, refReload({ model: llama, offload }));
  for (const side of ['chosen', 'rejected']) {
    const logps = ({ record }: typeof policy) => record[`logps/${side}`] as number;
    expect(mixed.record[`rewards/${side}`]).toBeCloseTo(0.1 * (logps(policy) - logps(other)), 4);
  }
  const { kl, fingerprint } = said(mixed);
  expect(kl).toBeGreaterThan(1e-3);
  expect(Number.isFinite(kl)).toBe(true);
  expect(fingerprint).toBe(said(other).fingerprint);
});

describe('a reference of another size', () => {
  it.each(offloads)('on %s gives what the exact KL over the vocabulary needs', async (offload) => {
    const small = await smallerModel('qwen2', { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2 });
    const found: number[][] = [];
    const asking = definePlugin({
      name: 'asking',
      apiVersion: 1,
      uses: { driver: Driver, reference: Reference },
      apply({ hooks, services }) {
        hooks.trainBegin.tap(async () => {
          const { driver, reference } = services;
          const rows = packRows([{ ids: [5, 9, 200, 31], completionStart: 1 }]);
          const pass = {
            key: 'reference',
            view: 'reference',
            rows,
            gradient: true,
            dropout: { seed: 1, step: 1 },
          } as const;
          const { states, headWeight, logps } = await reference.score({
            ...pass,
            outputs: ['states', 'headWeight', 'logps'],
          });
          const prediction = { states: states as tf.Tensor, headWeight: headWeight as tf.Tensor };
          const { kl } = await driver.forward({
            ...pass,
            key: 'policy',
            view: 'policy',
            gradient: false,
            dropout: undefined,
            outputs: ['kl'],
            reference: prediction,
          });
          const own = tf.tidy(() => {
            const all = tf.logSoftmax(
              tf.matMul(prediction.states as tf.Tensor2D, prediction.headWeight as tf.Tensor2D, false, true),
            );
            return tf.sum(tf.mul(all, tf.oneHot(tf.tensor1d(rows.targets.label, 'int32'), 384)), -1);
          });
          found.push(...[own, logps, kl].map((each) => Array.from((each as tf.Tensor).dataSync())));
          tf.dispose([states, headWeight, logps, kl, own]);
          driver.release();
        });
      },
    });
    await trainAgainst(refReload({ model: small, offload }), { model: qwen2, train: short, plugins: [asking()] });
    const [own = [], logps = [], kl = []] = found;
    expect(own).toHaveLength(3);
    own.forEach((value, at) => void expect(logps[at]).toBeCloseTo(value, 4));
    for (const each of kl) expect(each).toBeGreaterThan(0);
  });
});

describe.each([...native.slice(0, 1), ...elsewhere.slice(0, 1)])(
  'stored as bfloat16, %s, compile %s',
  (engine, compile) => {
    it.each(offloads)('on %s, it is rounded as a clone is, and known by the weights of its folder', async (offload) => {
      const train = { engine, compile, steps: 2 };
      const [exact, cloned] = [await clonedOn(engine, compile), refClone({ storage: 'bfloat16' })];
      const rounded = await trainAgainst(cloned, { model: qwen2, train });
      const reloaded = await trainAgainst(refReload({ model: qwen2, storage: 'bfloat16', offload }), {
        model: qwen2,
        train,
      });
      expect(reloaded.records).toEqual(rounded.records);
      const { kl, fingerprint, bytesResident } = said(reloaded);
      expect(kl).toBeGreaterThan(0);
      expect(kl).toBeLessThan(1e-4);
      expect(fingerprint).toBe(said(exact).fingerprint);
      expect(bytesResident).toBe(offload === 'disk' ? 0 : said(rounded).bytesResident);
    });
  },
);

it('a folder in a run file is found from there', async () => {
  const file = path.join(path.dirname(qwen2), 'run.yaml');
  const reference = `ref-reload: { model: ${path.basename(qwen2)} }`;
  writeFileSync(file, `model: ${path.basename(qwen2)}\nplugins:\n  - ${reference}\n`);
  const { input, plugins } = await readRunFile(file);
  const options = plugins[0]?.options as { model: string };
  const { folder } = input;
  const seen = await trainAgainst(refReload(options), { model: qwen2, folder, train: short });
  expect(said(seen)).toMatchObject({ kind: 'reload', kl: 0 });
});

it('no tap of the run sees the blocks of the reference', async () => {
  const seen = new Set<string>();
  const watching = definePlugin({
    name: 'watching',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.beforeForward.tap(({ pass }) => void seen.add(pass.key));
      hooks.readParameter.tap((tensor) => tf.mul(tensor, 1.5));
    },
  });
  const plain = await trainAgainst(refReload({ model: qwen2 }), { model: qwen2, train: short, plugins: [] });
  const tapped = trainAgainst(refReload({ model: qwen2 }), { model: qwen2, train: short, plugins: [watching()] });
  // the policy's are changed, so that it is no longer the model of the folder
  expect(await failureOf(() => tapped)).toMatchObject({ code: 'REFERENCE_DIFFERS' });
  expect(said(plain)).toMatchObject({ kl: 0 });
  expect([...seen]).toEqual(['policy']);
});

it('the ledger shows that each block came and went', async () => {
  const { ledger } = await trainAgainst(refReload({ model: qwen2, offload: 'disk' }), { model: qwen2, train: short });
  const of = (hook: string) => ledger.find((entry) => entry.plugin === 'ref-reload' && entry.hook === hook);
  const [before, after] = [of('beforeForward'), of('afterForward')];
  // embedding, three layers and head, at the check before the first step and in it
  expect([before?.calls, after?.calls]).toEqual([10, 10]);
  expect(before?.tensors).toBeGreaterThan(0);
  expect((before?.tensors ?? 0) + (after?.tensors ?? 0)).toBe(0);
  expect((before?.bytes ?? 0) + (after?.bytes ?? 0)).toBe(0);
});

describe('before training it refuses', () => {
  const refused = async (model: string, offload: (typeof offloads)[number] = 'memory') => {
    const error = await failureOf(() => trainAgainst(refReload({ model, offload }), { model: qwen2, train: short }));
    expect(error.place.step).toBeUndefined();
    return error;
  };

  it('a folder that is not there', async () => {
    const { code, message } = await refused('/nowhere/at-all');
    expect(code).toBe('MODEL_CONFIG_MISSING');
    expect(message).toContain('/nowhere/at-all/config.json');
  });

  it('a vocabulary of another size', async () => {
    const mistral = modelFolder('mistral');
    expect(await refused(mistral)).toMatchObject({
      code: 'RELOAD_VOCABULARY_SIZE',
      details: { ours: 384, theirs: 96 },
    });
  });

  it('a tokenizer that numbers a token otherwise', async () => {
    const llama = modelFolder('llama');
    const file = path.join(llama, 'tokenizer.json');
    const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
    const [[one, first], [other, second]] = Object.entries(tokenizer.model.vocab).slice(-2) as [
      [string, number],
      [string, number],
    ];
    Object.assign(tokenizer.model.vocab, { [one]: second, [other]: first });
    writeFileSync(file, JSON.stringify(tokenizer));
    const { code, details } = await refused(llama);
    expect({ code, details }).toMatchObject({
      code: 'RELOAD_TOKENS_DIFFER',
      details: { token: JSON.stringify(one), ours: `number ${first}`, theirs: `number ${second}` },
    });
    writeFileSync(file, '{');
    expect(await refused(llama)).toMatchObject({ code: 'RELOAD_TOKENIZER_MALFORMED' });
    rmSync(file);
    mkdirSync(file); // there, and not to be read
    expect(await refused(llama)).toMatchObject({ code: 'RELOAD_TOKENIZER_MALFORMED' });
    rmSync(file, { recursive: true });
    await trainAgainst(refReload({ model: llama }), { model: qwen2, train: short });
  });

  it.each(offloads)('a file that was cut off, read into %s', async (offload) => {
    const llama = modelFolder('llama');
    const file = path.join(llama, 'model.safetensors');
    truncateSync(file, 300_000);
    const { code, message } = await refused(llama, offload);
    expect(code).toBe('SAFETENSORS_RANGE_OUTSIDE');
    expect(message).toContain(file);
  });
});

describe('while training, on disk, it refuses', () => {
  it.each([
    ['changed', (file: string) => utimesSync(file, 1, 1)],
    ['taken away', (file: string) => rmSync(file)],
  ])('a file that was %s', async (_, change) => {
    const llama = modelFolder('llama');
    const file = path.join(llama, 'model.safetensors');
    const meddling = definePlugin({
      name: 'meddling',
      apiVersion: 1,
      apply: ({ hooks }) => hooks.stepEnd.tap(({ step }) => void (step.index === 1 && change(file))),
    });
    const run = () =>
      trainAgainst(refReload({ model: llama, offload: 'disk' }), {
        model: qwen2,
        train: { ...short, steps: 3 },
        plugins: [meddling()],
      });
    const error = await failureOf(run);
    expect(error).toMatchObject({ code: 'SAFETENSORS_CHANGED', place: { plugin: 'ref-reload', step: 2 } });
    expect(error.message).toContain(file);
  });
});
