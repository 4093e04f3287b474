import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { packBranches, packRows, type Rows } from 'mooring';
import { chooseLengths, chooseShapes } from '../../core/blocks/row-shapes.ts';

const lengths = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 40 });
const padded = (values: readonly number[], to: readonly number[]) =>
  values.reduce((sum, value) => sum + (to.find((length) => length >= value) ?? Number.NaN), 0);
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

describe('lengths', () => {
  test('are few and increasing, and the longest value is one', () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 5 }), (values, most) => {
        const chosen = chooseLengths(values, most);
        expect(chosen.length).toBeLessThanOrEqual(most);
        expect(chosen.at(-1)).toBe(Math.max(...values));
        expect([...new Set(chosen)].sort((a, b) => a - b)).toEqual(chosen);
      }),
    );
  });

  test('pad as little as any two lengths can, unless one is good enough', () => {
    fc.assert(
      fc.property(lengths, (values) => {
        const chosen = chooseLengths(values, 2);
        const longest = Math.max(...values);
        const least = Math.min(...values.map((length) => padded(values, [length, longest])));
        if (chosen.length === 2) expect(padded(values, chosen)).toBe(least);
        else expect(longest * values.length).toBeLessThanOrEqual(Math.max(total(values) * 1.1, least));
      }),
    );
  });
});

describe('padded rows', () => {
  const sequence = fc
    .array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 30 })
    .chain((ids) => fc.record({ ids: fc.constant(ids), completionStart: fc.integer({ min: 0, max: ids.length }) }));
  const ordinary = fc.array(sequence, { minLength: 1, maxLength: 5 }).map((all) => packRows(all));
  const forked = fc
    .array(fc.tuple(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 9 }), sequence, sequence), {
      minLength: 1,
      maxLength: 5,
    })
    .map((pairs) => {
      const side = (at: 1 | 2) =>
        pairs.map((pair) => ({ ids: [...pair[0], ...pair[at].ids], completionStart: pair[0].length }));
      return packBranches([side(1), side(2)]);
    });
  const batches = fc.array(fc.oneof(ordinary, forked), { minLength: 1, maxLength: 12 });

  /** The tokens that a position can see, up to itself: what a model computes there depends on nothing else. */
  const seenFrom = ({ ids, mask, time, fork }: Rows, at: number) => {
    const { trunk, branch } = fork ?? { trunk: 0, branch: time };
    const branchOf = (inRow: number) => (inRow < trunk ? -1 : Math.floor((inRow - trunk) / branch));
    const begin = at - (at % time);
    const seen: number[] = [];
    for (let key = begin; key <= at; key++) {
      const own = branchOf(key - begin);
      if (mask[key] === 1 && (own === -1 || own === branchOf(at - begin))) seen.push(ids[key] as number);
    }
    return seen;
  };

  test('keep every target with all that it sees, in its place', () => {
    fc.assert(
      fc.property(batches, (sample) => {
        const shapes = chooseShapes(sample.slice(0, 6));
        for (const rows of sample) {
          const more = shapes.pad(rows);
          const { source, label, row, position } = more.targets;
          const count = rows.targets.label.length;
          expect(label.length).toBeGreaterThanOrEqual(count);
          for (const [name, values] of Object.entries({ label, row, position }))
            expect(values.slice(0, count)).toEqual(rows.targets[name as 'label']);
          for (let target = 0; target < count; target++)
            expect(seenFrom(more, source[target] as number)).toEqual(
              seenFrom(rows, rows.targets.source[target] as number),
            );
          expect(Math.max(0, ...source)).toBeLessThan(more.batch * more.time);
        }
      }),
    );
  });

  test('hold no sequence that is longer than the longest', () => {
    const longest = ({ mask, batch, time, fork }: Rows) => {
      const { trunk, branches, branch } = fork ?? { trunk: 0, branches: 1, branch: time };
      const real = (begin: number, length: number) => total([...mask.subarray(begin, begin + length)]);
      return Math.max(
        ...Array.from({ length: batch * branches }, (_, at) => {
          const row = Math.floor(at / branches) * time;
          return real(row, trunk) + real(row + trunk + (at % branches) * branch, branch);
        }),
      );
    };
    fc.assert(
      fc.property(batches, (sample) => {
        const shapes = chooseShapes(sample);
        for (const rows of sample) expect(longest(shapes.pad(rows))).toBe(longest(rows));
      }),
    );
  });

  test('have few shapes where the sample foresaw them, and the same one each time', () => {
    fc.assert(
      fc.property(batches, (sample) => {
        const shapes = chooseShapes(sample);
        const seen = new Set(
          sample.map((rows) => {
            const { batch, time, fork, targets } = shapes.pad(rows);
            expect(shapes.pad(rows)).toBe(shapes.pad(rows));
            return JSON.stringify([batch, time, fork, targets.label.length]);
          }),
        );
        // two kinds of rows, four lengths each, two counts of targets
        expect(seen.size).toBeLessThanOrEqual(16);
      }),
    );
  });

  test('have a length where the sample had empty ones only', () => {
    const row = (completionStart: number) => packRows([{ ids: new Array(40).fill(1), completionStart }]);
    const shapes = chooseShapes([row(40)]);
    expect(row(40).targets.label).toHaveLength(0);
    expect(shapes.pad(row(5)).targets.label.length).toBeGreaterThanOrEqual(35);
  });

  test('are said in a line', () => {
    const rows = [20, 20, 30].map((time) => packRows([{ ids: new Array(time).fill(1), completionStart: 5 }]));
    expect(chooseShapes(rows).description).toBe('rows to 20, 30 tokens: 0 % more positions');
  });
});
