import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mechanisms } from '../../../plugins/advise/mechanisms.ts';
import { predictMemory, shardOf } from '../../../plugins/advise/predict-memory.ts';
import { predictSeconds } from '../../../plugins/advise/predict-time.ts';
import { countRows } from '../../../plugins/advise/workload.ts';
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
const unsharded = asked.filter(({ mechanism }) => !mechanism.isSharded);

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

test('what ranks hold of a whole adds up to it, and the first holds most', () => {
  fc.assert(
    fc.property(fc.nat(1e6), fc.integer({ min: 1, max: 300 }), (numbers, ranks) => {
      const shares = Array.from({ length: ranks }, (_, rank) => shardOf(numbers, ranks, rank));
      expect(shares.reduce((sum, each) => sum + each, 0)).toBe(numbers);
      expect(Math.max(...shares)).toBe(shares[0]);
    }),
  );
});

test('sharded, the bytes of weights, optimizer and reference times the ranks are the whole, up to one number a block', () => {
  const [whole, parts] = [mechanism('full, clone'), mechanism('ZeRO-3, clone')];
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 300 }), (of, ranks) => {
      const all = predictMemory(decoder(of), setting({ mechanism: whole }));
      const one = predictMemory(decoder(of), setting({ mechanism: parts, ranks }));
      for (const part of ['weights', 'optimizer', 'reference'] as const) {
        const rounding = 8 * (of.layers + 3) * ranks;
        expect(Math.abs(one[part] * ranks - all[part])).toBeLessThanOrEqual(rounding);
      }
    }),
  );
});

test('the peak is at least what lasts through a step, and at most the sum of the parts with what they copy', () => {
  fc.assert(
    fc.property(sizes, unsharded, (of, given) => {
      const bytes = predictMemory(decoder(of), setting(given));
      const isForAWhile = given.mechanism.reference === 'reload-disk';
      const lasting = bytes.weights + bytes.optimizer + (isForAWhile ? 0 : bytes.reference);
      expect(bytes.tensors).toBeGreaterThanOrEqual(lasting);
      expect(bytes.tensors).toBeLessThanOrEqual(lasting + 3 * bytes.gradients + bytes.activations);
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
