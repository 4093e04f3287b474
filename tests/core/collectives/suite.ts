import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Answer, type Call, kinds, purpose, type Script } from './call.ts';

/** Ranks that wait for scripts, wherever they run. */
export interface Ranks {
  /** Has every rank `perform` a script; the answers of each. */
  run(script: Script): Promise<readonly (readonly Answer[])[]>;
  close(): Promise<unknown>;
}

/** How many ranks every provider is tested with. */
export const counts = [1, 2, 3, 4, 7];

/**
 * What every provider of Collectives keeps to. `open` starts ranks with a provider of one kind; `runs` is how many random
 * scripts each number of ranks performs.
 */
export function describeCollectives(
  transport: string,
  open: (ranks: number) => Promise<Ranks>,
  { of = counts, runs = 25 }: { readonly of?: readonly number[]; readonly runs?: number } = {},
): void {
  describe.each(of)(`collectives by ${transport}, %d ranks`, (ranks) => {
    let opened: Ranks;
    beforeAll(async () => {
      opened = await open(ranks);
    });
    afterAll(() => opened.close());

    test('give what the arithmetic of one rank gives, to the bit, whatever is in progress at once', async () => {
      const script = fc.array(anyCall(ranks), { minLength: 1, maxLength: 6 });
      const property = fc.asyncProperty(script, async (calls) => {
        const right = calls.map(() => ({ difference: '' }));
        expect(await opened.run({ calls })).toEqual(Array.from({ length: ranks }, () => right));
      });
      await fc.assert(property, { numRuns: runs });
    });

    test('carry more than any buffer holds at first, and then little again', async () => {
      const sizes = Array.from({ length: ranks }, (_, rank) => (rank === 0 ? 20_011 : 7 * rank));
      const calls = kinds.map((kind, seed) => ({ ...plain(ranks), kind, sizes, seed }));
      const little = kinds.map((kind, seed) => ({ ...plain(ranks), kind, seed: 10 + seed }));
      for (const some of [calls, little]) {
        const answers = await opened.run({ calls: some });
        expect(answers).toEqual(Array.from({ length: ranks }, () => some.map(() => ({ difference: '' }))));
      }
    });

    if (ranks === 1) return;
    test('name a rank that fails to all that wait, and to all that come later', async () => {
      const calls = Array.from({ length: 4 }, (_, seed) => ({ ...plain(ranks), seed }));
      const failing = { rank: ranks - 1, at: 2, cause: 'alpha broke.' };
      const answers = await opened.run({ calls, failing });
      const named = calls.slice(failing.at).map((call) => {
        return { code: 'RANK_FAILED', details: { rank: failing.rank, cause: failing.cause, awaited: purpose(call) } };
      });
      for (const others of answers.slice(0, -1)) expect(others.slice(failing.at)).toEqual(named);
      const [after] = await opened.run({ calls: calls.slice(0, 1) });
      expect(after).toMatchObject([{ code: 'RANK_FAILED', details: { rank: failing.rank } }]);
    });
  });
}

function plain(ranks: number): Call {
  return {
    kind: 'allGather',
    data: 'float32',
    sizes: Array.from({ length: ranks }, () => 3),
    reduction: 'sum',
    root: 0,
    seed: 0,
  };
}

/** Sizes that no number of ranks divides, and empty parts, are the rule. */
function anyCall(ranks: number): fc.Arbitrary<Call> {
  return fc.record({
    kind: fc.constantFrom(...kinds),
    data: fc.constantFrom('float32', 'bfloat16', 'bytes'),
    sizes: fc.array(fc.oneof(fc.constant(0), fc.nat(40), fc.constant(409)), { minLength: ranks, maxLength: ranks }),
    reduction: fc.constantFrom('sum', 'mean', 'max'),
    root: fc.nat(ranks - 1),
    seed: fc.nat(1_000_000),
  });
}
