import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { packBranches, packRows, type Rows, type Sequence, sliceRows } from 'mooring';
import { padRows } from '../../../core/blocks/pad-rows.ts';
import { scoredSequences } from '../../../plugins/ref-cache/sequences.ts';

const ids = (length: { minLength: number; maxLength: number }) => fc.array(fc.nat(3), length);
/** A prompt and two completions. */
const pair = fc.record({
  prompt: ids({ minLength: 1, maxLength: 4 }),
  chosen: ids({ minLength: 1, maxLength: 4 }),
  rejected: ids({ minLength: 1, maxLength: 4 }),
});
type Pair = Record<'prompt' | 'chosen' | 'rejected', number[]>;
const sequence = (of: 'chosen' | 'rejected', each: Pair): Sequence => ({
  ids: [...each.prompt, ...each[of]],
  completionStart: each.prompt.length,
});
const apart = (pairs: readonly Pair[]) =>
  packRows([...pairs.map((each) => sequence('chosen', each)), ...pairs.map((each) => sequence('rejected', each))]);
const digests = (rows: Rows) => scoredSequences(rows).map(({ digest }) => digest);
/** The labels of each sequence, in the order of its values. */
const labels = (rows: Rows) =>
  scoredSequences(rows).map(({ members }) => members.map((target) => rows.targets.label[target]));

describe('a sequence is known', () => {
  it('by its tokens and which are scored: padded, cut out, or with a shared prompt', () => {
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 3 }), (pairs) => {
        const rows = apart(pairs);
        const forked = packBranches([
          pairs.map((each) => sequence('chosen', each)),
          pairs.map((each) => sequence('rejected', each)),
        ]);
        const expected = digests(rows);
        expect(digests(forked)).toEqual(expected);
        expect(labels(forked)).toEqual(labels(rows));
        expect(digests(padRows(rows, { branch: 20, batch: rows.batch }))).toEqual(expected);
        expect(digests(padRows(forked, { trunk: 9, branch: 9 }))).toEqual(expected);
        const last = pairs.length - 1;
        expect(digests(sliceRows(rows, last, last + 1).part)).toEqual([expected[last]]);
        expect(digests(sliceRows(forked, last, last + 1).part)).toEqual([expected[last], expected[2 * last + 1]]);
      }),
    );
  });

  it('apart from every other', () => {
    fc.assert(
      fc.property(pair, pair, (one, other) => {
        const isSame = JSON.stringify(sequence('chosen', one)) === JSON.stringify(sequence('chosen', other));
        expect(digests(apart([one]))[0] === digests(apart([other]))[0]).toBe(isSame);
      }),
      {
        examples: [
          [
            { prompt: [1, 2], chosen: [3], rejected: [0] },
            { prompt: [1], chosen: [2, 3], rejected: [0] },
          ],
        ],
      },
    );
  });
});
