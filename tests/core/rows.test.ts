import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { packRows, rowsOf, type Sequence } from 'mooring';

const sequence: fc.Arbitrary<Sequence> = fc
  .tuple(fc.array(fc.nat(1000), { minLength: 1, maxLength: 12 }), fc.nat(12))
  .map(([ids, start]) => ({ ids, completionStart: Math.min(start, ids.length) }));

test('every completion token but a first one is a target once, in order, predicted by the position before it', () => {
  fc.assert(
    fc.property(fc.array(sequence, { minLength: 1, maxLength: 6 }), (sequences) => {
      const { targets, time, batch, mask } = packRows(sequences);
      expect({ batch, time }).toEqual({
        batch: sequences.length,
        time: Math.max(...sequences.map(({ ids }) => ids.length)),
      });
      const expected = sequences.flatMap(({ ids, completionStart }, row) =>
        Array.from(ids, (label, at) => ({ source: row * time + at - 1, label, row, at })).filter(
          ({ at }) => at >= Math.max(1, completionStart),
        ),
      );
      expect([...targets.label]).toEqual(expected.map(({ label }) => label));
      expect([...targets.source]).toEqual(expected.map(({ source }) => source));
      expect([...targets.row]).toEqual(expected.map(({ row }) => row));
      expect(mask.reduce((sum, each) => sum + each, 0)).toBe(sequences.reduce((sum, { ids }) => sum + ids.length, 0));
    }),
  );
});

test('padding on the left gives the same targets as padding on the right', () => {
  fc.assert(
    fc.property(fc.array(sequence, { minLength: 1, maxLength: 6 }), (sequences) => {
      const right = packRows(sequences.map(({ ids }) => ({ ids, completionStart: 0 })));
      const { batch, time } = right;
      const padded = (fill: (sequence: Sequence) => ArrayLike<number>) =>
        Int32Array.from(
          sequences.flatMap((each) => [
            ...new Array<number>(time - each.ids.length).fill(0),
            ...Array.from(fill(each)),
          ]),
        );
      const left = rowsOf({
        batch,
        time,
        ids: padded(({ ids }) => ids),
        mask: padded(({ ids }) => Array.from(ids, () => 1)),
      });
      expect([...left.targets.label]).toEqual([...right.targets.label]);
      expect([...left.targets.row]).toEqual([...right.targets.row]);
      expect([...left.targets.position]).toEqual([...right.targets.position]);
    }),
  );
});
