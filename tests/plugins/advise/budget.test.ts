import path from 'node:path';
import { expect, test } from '@jest/globals';
import { createTrainer, type MooringError, type Plugin, packBranches, packRows, type Rows } from 'mooring';
import { advisor } from 'mooring/plugins/advise';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { klPenalty } from 'mooring/plugins/kl-penalty';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { mechanisms } from '../../../plugins/advise/mechanisms.ts';
import { predictMemory } from '../../../plugins/advise/predict-memory.ts';
import { mechanismOf } from '../../../plugins/advise/run-setting.ts';
import { randomPairs } from '../../bench/random-pairs.ts';
import { plugin, quiet } from '../../core/support.ts';
import { configs, readShapes, setting } from './support.ts';

const model = path.join(configs, 'llama-2-7b'); // config.json, and no weights
const larger = path.join(configs, 'llama-2-70b');
const pairs = { pairs: 2, promptTokens: 8, completionTokens: 16 };
const seven = 25.1; // GiB of llama-2-7b
const directory = path.join(configs, 'no-cache');

/** What a run under a budget fails with. */
function failureOf(memory: string, ...plugins: Plugin[]): Promise<MooringError> {
  const trainer = createTrainer({ model, train: { engine: 'cpu', steps: 5, batchSize: 2 } }, { log: quiet });
  trainer.use(causalLm(), randomPairs(pairs), dpo(), advisor({ memory })).use(...plugins);
  return trainer.train().then(
    () => Promise.reject(new Error('the run was not refused')),
    (error) => error,
  );
}

/** The bytes that a refusal names, in GiB: all, and those of the reference. */
function bytesIn({ message }: MooringError): { needed: number; reference: number } {
  const sizeAfter = (words: string) => {
    const [, size = '0', unit] = new RegExp(`${words} ([0-9.]+) ([KMGT])iB`).exec(message) ?? [];
    return Number(size) * 2 ** (10 * 'KMGT'.indexOf(unit ?? 'G') - 20);
  };
  return { needed: sizeAfter('would hold'), reference: sizeAfter('reference') };
}

/** The mechanisms that a refusal offers. */
function offeredIn({ message }: MooringError): string[] {
  return [...message.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name);
}

test('a run over its budget is refused before any weights are read, and told what would fit', async () => {
  const error = await failureOf('24GiB', refClone());
  expect(error.code).toBe('ADVISE_OVER_BUDGET');
  const { resident } = predictMemory(
    await readShapes(model),
    setting({
      mechanism: mechanisms[0] as (typeof mechanisms)[number],
      workload: { ...pairs, sharesPrompts: true },
      running: { isCompiled: false, recompute: 'none' },
    }),
  );
  expect(error.message).toContain(`would hold ${(resident / 2 ** 30).toFixed(0)} GiB (weights 25.1 GiB, gradients`);
  expect(error.message).toMatch(/"ZeRO-3, clone" on \d+ ranks, each with 2\d\.\d GiB/);
  expect(error.message).toContain('"LoRA, adapters off, base in bf16" with');
  expect(error.message).not.toContain('"full, clone"');
});

test('a budget that is enough lets the run go on, to its weights', async () => {
  expect((await failureOf('900GiB', refClone())).code).not.toMatch(/^ADVISE/);
});

test('a reloaded model of another size is counted at its own, and the policy at its own', async () => {
  const own = bytesIn(await failureOf('10GiB', refReload({ model })));
  const other = bytesIn(await failureOf('10GiB', refReload({ model: larger })));
  const packed = bytesIn(await failureOf('10GiB', refReload({ model: larger, storage: 'bfloat16' })));
  const fromDisk = bytesIn(await failureOf('10GiB', refReload({ model: larger, offload: 'disk' })));
  expect(own.reference).toBe(seven);
  expect(other.reference).toBe(257);
  expect(packed.reference).toBe(128);
  expect(fromDisk.reference).toBeCloseTo(3.19, 1);
  expect((other.needed - own.needed) / 1.12).toBeCloseTo(257 - seven, -1);
});

test.each([
  ['over a clone, which shares the policy until it goes', [refClone()], 0],
  ['over nothing, which is a clone', [], 0],
  ['over a clone in bfloat16, until it goes', [refClone({ storage: 'bfloat16' })], seven / 2],
  ['over a reloaded model, until it goes', [refReload({ model: larger })], 257],
])('a cache that is scored ahead, %s', async (_, beneath, reference) => {
  const told = await failureOf('10GiB', ...beneath, refCache({ directory }));
  expect(bytesIn(told).reference).toBeCloseTo(reference, 0);
  // the policy trains in 114 GiB, the reference gone; 257 GiB and the policy are more, before it does
  expect(bytesIn(told).needed).toBeCloseTo(reference === 257 ? 1.12 * (257 + seven) : 114, -1);
});

test.each([
  ['a clone', [refClone()], seven],
  ['nothing, which is a clone', [], seven],
  ['a reloaded model', [refReload({ model: larger })], 257],
])('a cache that is filled as batches come stays over %s', async (_, beneath, reference) => {
  const told = await failureOf('10GiB', ...beneath, refCache({ directory, compute: 'as-they-come' }));
  expect(bytesIn(told)).toMatchObject({ reference, needed: expect.closeTo(1.12 * (reference + 4 * seven), -1) });
});

test.each([
  ['adapters-off', 0],
  ['adapter-snapshot', 0.0745],
] as const)('the reference %s of an adapter is counted, before it is decided on', async (reference, gibibytes) => {
  const told = await failureOf('10GiB', peftLora({ reference }));
  expect(bytesIn(told).reference).toBeCloseTo(gibibytes, 3);
});

test.each([
  ['updated and copied to the reference after each step', { everySteps: 1 }, 3 * seven],
  ['updated after each step, and copied after each second', { everySteps: 2 }, 4 * seven],
  ['never updated in so few steps', { everySteps: 1, bema: { everySteps: 6 } }, seven],
])('the average that a reference becomes is counted: %s', async (_, options, gibibytes) => {
  const told = await failureOf('10GiB', refClone(), syncRefModel({ bema: { everySteps: 1 }, ...options }));
  expect(bytesIn(told).reference).toBeCloseTo(gibibytes, 0);
});

const sequences = (time: number) =>
  Array.from({ length: 4 }, () => ({ ids: Array.from({ length: time }, () => 1), completionStart: time / 2 }));
const apart = (time: number) => packRows(sequences(time));
const shared = (time: number) => packBranches([sequences(time).slice(2), sequences(time).slice(2)]);
test.each([
  ['pairs apart, then pairs that share their prompts', apart(2048), shared(16)],
  ['pairs that share their prompts, then pairs apart', shared(2048), apart(16)],
])('the heaviest batch counts, in its own form: %s', async (_, heavy, light) => {
  const neededBy = async (rowsOf: (position: number) => Rows) => {
    const batches = plugin('batches', ({ hooks }) =>
      hooks.batch.tap((batch, { position }) => ({ ...batch, rows: rowsOf(position) })),
    );
    return bytesIn(await failureOf('10GiB', refClone(), batches)).needed;
  };
  const heaviest = await neededBy(() => heavy);
  expect(heaviest).toBeGreaterThan(await neededBy(() => light));
  expect(await neededBy((position) => (position === 0 ? heavy : light))).toBe(heaviest);
  expect(await neededBy((position) => (position === 4 ? heavy : light))).toBe(heaviest);
});

test.each([
  ['another model', '130GiB', refClone(), [refReload({ model: larger })], /reload/],
  ['a reference that moves', '130GiB', refClone(), [refClone(), syncRefModel({})], /clone|snapshot/],
  ['the exact KL', '130GiB', refClone(), [refClone(), klPenalty({ beta: 0.1 })], /^(?!.*cached)/],
  ['a trained adapter', '20GiB', peftLora({}), [peftLora({ adapter: 'trained' })], /^(?!.*adapters off)/],
])('a run with %s is offered only what can have it', async (_, memory, plain, plugins, possible) => {
  const all = offeredIn(await failureOf(memory, plain));
  expect(all.filter((name) => !possible.test(name))).not.toEqual([]);
  const offered = offeredIn(await failureOf(memory, ...plugins));
  expect(offered).not.toEqual([]);
  expect(offered.filter((name) => !possible.test(name))).toEqual([]);
});

test('what does not fit on any number of ranks says so', async () => {
  expect((await failureOf('100MiB', peftLora({ r: 16 }))).message).toContain('nothing, on any number of ranks');
});

test('without a budget it does nothing in a run', () => {
  const { hooks } = createTrainer({ model }).use(causalLm(), randomPairs(pairs), dpo(), advisor()).explain();
  expect(hooks.flatMap(({ taps }) => taps.map(({ plugin }) => plugin))).not.toContain('advise');
});

const plugins = (...names: string[]) => JSON.stringify(['causal-lm', 'dpo', ...names]);
test.each([
  ['full, clone', { plugins: plugins('ref-clone'), 'ref-clone.storage': 'float32' }, 'clone'],
  ['full, clone in bf16', { plugins: plugins('ref-clone'), 'ref-clone.storage': 'bfloat16' }, 'clone'],
  ['full, reload from disk', { plugins: plugins('ref-reload'), 'ref-reload.offload': 'disk' }, 'reload'],
  ['full, cached', { plugins: plugins('ref-clone', 'ref-cache') }, 'cached'],
  [
    'LoRA, adapters off, base in bf16',
    { plugins: plugins('peft-lora'), 'peft-lora.storage': 'bfloat16' },
    'adapters-off',
  ],
  ['ZeRO-3, clone', { plugins: plugins('zero3-shard', 'ref-clone'), 'zero3-shard.stage': '3' }, 'clone'],
  ['ZeRO-1, clone', { plugins: plugins('zero3-shard', 'ref-clone'), 'zero3-shard.stage': '1' }, 'clone'],
])('"%s" is read off a run', (name, fields, kind) => {
  const told = mechanisms.find((each) => each.name === name);
  expect(mechanismOf(fields, { kind })).toEqual({ ...told, name: 'this run', plugins: {}, refuses: 'Nothing.' });
});
