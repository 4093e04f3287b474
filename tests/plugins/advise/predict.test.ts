import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { packRows, rangeOf } from 'mooring';
import { mechanisms } from '../../../plugins/advise/mechanisms.ts';
import { predictMemory } from '../../../plugins/advise/predict-memory.ts';
import { predictSeconds } from '../../../plugins/advise/predict-time.ts';
import { shardingDefaults, shareOf } from '../../../plugins/advise/sharding.ts';
import { countRows, widestRows } from '../../../plugins/advise/workload.ts';
import { optionsSchema } from '../../../plugins/zero3-shard/options.ts';
import { decoder, mechanism, setting, workload } from './support.ts';

const sizes = fc.record({
  layers: fc.integer({ min: 1, max: 12 }),
  hidden: fc.integer({ min: 1, max: 64 }).map((quarter) => 4 * quarter),
  vocabulary: fc.integer({ min: 2, max: 50000 }),
  isTied: fc.boolean(),
});
const work = fc.record({
  pairs: fc.integer({ min: 1, max: 32 }),
  promptTokens: fc.integer({ min: 1, max: 512 }),
  completionTokens: fc.integer({ min: 1, max: 512 }),
  sharesPrompts: fc.boolean(),
});
const running = fc.record({
  isCompiled: fc.boolean(),
  recompute: fc.constantFrom('none' as const, 'block' as const),
});
const asked = fc.record({ mechanism: fc.constantFrom(...mechanisms), workload: work, running });
const unsharded = asked.filter(({ mechanism }) => mechanism.stage === 0);

test('bytes and time grow with pairs, with tokens and with layers', () => {
  fc.assert(
    fc.property(sizes, unsharded, fc.integer({ min: 1, max: 9 }), (of, given, more) => {
      const base = setting(given);
      // an exponential that does not fit any more is not kept: where a limit is passed, bytes may fall
      const { pairs, promptTokens, completionTokens } = given.workload;
      fc.pre(2 * (pairs + more) * (completionTokens + more) * of.vocabulary <= 2 ** 25);
      const larger = [
        [of, { ...base, workload: { ...given.workload, pairs: pairs + more } }],
        [of, { ...base, workload: { ...given.workload, promptTokens: promptTokens + more } }],
        [of, { ...base, workload: { ...given.workload, completionTokens: completionTokens + more } }],
        [{ ...of, layers: of.layers + more }, base],
      ] as const;
      for (const [shapes, than] of larger) {
        const [less, greater] = [predictMemory(decoder(of), base), predictMemory(decoder(shapes), than)];
        expect(greater.tensors).toBeGreaterThanOrEqual(less.tensors);
        expect(greater.resident).toBeGreaterThanOrEqual(less.resident);
        expect(predictSeconds(decoder(shapes), than)).toBeGreaterThan(predictSeconds(decoder(of), base));
      }
    }),
  );
});

test('the share of a rank is the most that any holds, and small parameters are whole', () => {
  fc.assert(
    fc.property(fc.nat(1e6), fc.integer({ min: 1, max: 300 }), fc.nat(1000), (numbers, ranks, persistenceThreshold) => {
      const parts = Array.from({ length: ranks }, (_, rank) => rangeOf(numbers, rank, ranks));
      const most = Math.max(...parts.map(({ begin, end }) => end - begin));
      const isWhole = numbers <= persistenceThreshold;
      // of an odd number of them the last has one less, which is not seen
      const share = shareOf(numbers, { ranks, persistenceThreshold });
      expect(share - (isWhole ? numbers : most)).toBeGreaterThanOrEqual(0);
      expect(share - (isWhole ? numbers : most)).toBeLessThanOrEqual(isWhole ? 0 : 1);
    }),
  );
});

test('options that are not given are those of zero3-shard', () => {
  expect(optionsSchema.parse({})).toMatchObject(shardingDefaults);
});

const sharded = mechanisms.filter(({ stage }) => stage > 0);
const manyRanks = fc.integer({ min: 2, max: 300 });

test('sharded, the bytes of what is split times the ranks are the whole, up to two numbers a parameter', () => {
  const whole = mechanism('full, clone');
  fc.assert(
    fc.property(sizes, manyRanks, fc.constantFrom(...sharded), (of, ranks, part) => {
      fc.pre(part.trains === 'all' && part.reference === 'clone');
      const shapes = decoder(of);
      const all = predictMemory(shapes, setting({ mechanism: whole }));
      const one = predictMemory(shapes, setting({ mechanism: part, ranks, sharding: { persistenceThreshold: 0 } }));
      const rounding = 4 * 2 * (9 * of.layers + 3) * ranks;
      const close = (bytes: number, expected: number, factor: number) =>
        expect(Math.abs(bytes * ranks - expected)).toBeLessThanOrEqual(factor * rounding);
      close(one.optimizer, all.optimizer, 2);
      close(
        part.stage === 3 ? one.reference : one.reference - all.reference,
        (all.reference * part.referenceBytes) / 4,
        1,
      );
      // stages 1 and 2 have the whole policy and its clone besides
      close(part.stage === 3 ? one.weights : one.weights - all.weights, all.weights, 1);
    }),
  );
});

test('more ranks and lower thresholds never take more bytes of a rank, and later stages less than earlier ones', () => {
  fc.assert(
    fc.property(sizes, manyRanks, fc.constantFrom(...sharded), (of, ranks, part) => {
      const shapes = decoder(of);
      const given = { mechanism: part, sharding: { persistenceThreshold: 0 } };
      const fewer = predictMemory(shapes, setting({ ...given, ranks }));
      const more = predictMemory(shapes, setting({ ...given, ranks: 2 * ranks }));
      expect(more.tensors).toBeLessThanOrEqual(fewer.tensors);
      const kept = predictMemory(shapes, setting({ ...given, ranks, sharding: { persistenceThreshold: 1e9 } }));
      expect(kept).toMatchObject({ live: 0 });
      const stages = ['ZeRO-3, clone', 'ZeRO-2, clone', 'ZeRO-1, clone'].map((name) =>
        predictMemory(shapes, setting({ ...given, mechanism: mechanism(name), ranks })),
      );
      expect(stages.map(({ weights }) => weights)).toEqual(stages.map(({ weights }) => weights).sort((a, b) => a - b));
      expect(stages.map(({ tensors }) => tensors)).toEqual(stages.map(({ tensors }) => tensors).sort((a, b) => a - b));
    }),
  );
});

test('by hand: while a layer runs it and the next are whole, of which only what the bucket has room for is ahead', () => {
  const shapes = decoder({ layers: 2, hidden: 4, vocabulary: 100 });
  // a layer: 4 of 4 x 4, 3 of 4 x 12, 2 norms of 4; the head: 400 and a norm of 4. The largest window is layer and head
  const live = (sharding: object) =>
    predictMemory(shapes, setting({ mechanism: mechanism('ZeRO-3, clone'), ranks: 2, sharding })).live;
  expect(live({ persistenceThreshold: 0 })).toBe(4 * (4 * 16 + 3 * 48 + 2 * 4 + 400 + 4));
  expect(live({ persistenceThreshold: 15 })).toBe(4 * (4 * 16 + 3 * 48 + 400));
  // ahead of the embedding or of the head only the first three matrices of a layer fit
  expect(live({ persistenceThreshold: 0, prefetchBucketSize: 50 })).toBe(4 * (400 + 4 + 3 * 16));
  expect(live({ persistenceThreshold: 0, prefetchBucketSize: 0, maxLiveParameters: 10 })).toBe(4 * (404 + 10));
});

test('by hand: a reloaded model is gathered at its own size, and keeps what stays beside what the policy keeps', () => {
  const shapes = decoder({ layers: 2, hidden: 4, vocabulary: 100 });
  const referenceShapes = decoder({ layers: 2, hidden: 8, vocabulary: 100 });
  const sharding = { persistenceThreshold: 0, maxLiveParameters: 10 };
  const packed = { ...mechanism('ZeRO-3, reload from disk'), reference: 'reload-memory', referenceBytes: 2 } as const;
  const { live } = predictMemory(shapes, setting({ mechanism: packed, ranks: 2, sharding, referenceShapes }));
  // two layers of 4 of 8 x 8, 3 of 8 x 24, 2 norms of 8, which is more than one and the head
  expect(live).toBe(2 * (2 * (4 * 64 + 3 * 192 + 2 * 8) + 10) + 4 * 10);
});

test('the peak is at least what lasts through a step, and at most the sum of the parts with what they copy', () => {
  fc.assert(
    fc.property(sizes, unsharded, (of, given) => {
      const bytes = predictMemory(decoder(of), setting(given));
      const isForAWhile = given.mechanism.reference === 'reload-disk';
      const lasting = bytes.weights + bytes.optimizer + (isForAWhile ? 0 : bytes.reference);
      expect(bytes.tensors).toBeGreaterThanOrEqual(lasting);
      expect(bytes.tensors).toBeLessThanOrEqual(lasting + 3 * bytes.gradients + bytes.activations + bytes.live);
      expect(Object.values(bytes).every((each) => Number.isFinite(each) && each >= 0)).toBe(true);
    }),
  );
});

test('adapters train less than everything, and a snapshot of them is as large as their gradients', () => {
  const shapes = decoder({ layers: 12, hidden: 256, vocabulary: 8192 });
  const bytes = (name: string) => predictMemory(shapes, setting({ mechanism: mechanism(name) }));
  const off = bytes('LoRA, adapters off');
  expect(off.gradients).toBeLessThan(0.2 * bytes('full, clone').gradients);
  expect(off.reference).toBe(0);
  expect(bytes('LoRA, adapter snapshot').reference).toBe(off.gradients);
});

test('rows that fork compute the prompt once: 64 + 64 + 64 tokens where two sequences have 256', () => {
  const pair = { ...workload, pairs: 1, promptTokens: 64, completionTokens: 64 };
  // scores: the trunk's 64 * 64, and of two branches 64 queries that see 128 keys
  expect(countRows(pair)).toEqual({
    tokens: 192,
    trunkTokens: 64,
    branchKeys: 256,
    scores: 4096 + 16384,
    targets: 128,
  });
  expect(countRows({ ...pair, sharesPrompts: false })).toEqual({
    tokens: 256,
    trunkTokens: 0,
    branchKeys: 0,
    scores: 2 * 128 * 128,
    targets: 128,
  });
});

test('rows apart are as long as the longest, whether that is for its prompt or for its completion', () => {
  const pair = (prompt: number, completion: number) => {
    const sequence = { ids: Array.from({ length: prompt + completion }, () => 1), completionStart: prompt };
    return packRows([sequence, sequence]);
  };
  const widest = { pairs: 1, promptTokens: 2, completionTokens: 8, sharesPrompts: false };
  expect(widestRows([pair(8, 2), pair(2, 8)])).toEqual([widest]);
  expect(widestRows([pair(8, 2), pair(1, 2)])).toEqual([{ ...widest, promptTokens: 8, completionTokens: 2 }]);
});
