import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { countTokens, packBranches, packRows, type Sequence } from 'mooring';
import { padRows } from '../../core/blocks/pad-rows.ts';

const ids = (most: number) => fc.array(fc.nat(3), { maxLength: most });

/** For each row a beginning that its sequences share, and for each branch what it adds, some of it context. */
const branchesOf = fc.integer({ min: 1, max: 3 }).chain((count) =>
  fc
    .array(fc.tuple(ids(6), fc.array(fc.tuple(ids(3), ids(4)), { minLength: count, maxLength: count })), {
      minLength: 1,
      maxLength: 4,
    })
    .map((rows) =>
      Array.from({ length: count }, (_, branch) =>
        rows.map(([shared, parts]): Sequence => {
          const [context, completion] = parts[branch] as [number[], number[]];
          return { ids: [...shared, ...context, ...completion], completionStart: shared.length + context.length };
        }),
      ),
    ),
);

test('sequences packed as branches have the targets and the tokens of sequences packed as rows', () => {
  fc.assert(
    fc.property(branchesOf, (branches) => {
      const forked = packBranches(branches);
      const apart = packRows(branches.flat());
      expect(forked.sequences).toBe(apart.batch);
      for (const part of ['label', 'row', 'position'] as const)
        expect([...forked.targets[part]]).toEqual([...apart.targets[part]]);
      const before = ({ ids, targets }: typeof apart) => Array.from(targets.source, (at) => ids[at]);
      expect(before(forked)).toEqual(before(apart));
      expect(countTokens(forked)).toBe(countTokens(apart));
    }),
  );
});

test('every sequence is a trunk and a branch, with what all have in common before their completions in the trunk', () => {
  fc.assert(
    fc.property(branchesOf, fc.nat(9), fc.nat(9), (branches, leastTrunk, leastBranch) => {
      const { ids, mask, time, batch, fork } = padRows(packBranches(branches), {
        trunk: leastTrunk,
        branch: leastBranch,
      });
      const { trunk, branch } = fork as NonNullable<typeof fork>;
      expect(time).toBe(trunk + branches.length * branch);
      expect(trunk >= leastTrunk && branch >= leastBranch).toBe(true);
      const real = (begin: number, length: number) =>
        [...ids.subarray(begin, begin + length)].filter((_, at) => mask[begin + at] === 1);
      for (let row = 0; row < batch; row++) {
        const members = branches.map((all) => all[row] as Sequence);
        const common = real(row * time, trunk);
        members.forEach((member, index) => {
          expect([...common, ...real(row * time + trunk + index * branch, branch)]).toEqual(member.ids);
        });
        const next = members.map((member) =>
          common.length < member.completionStart ? member.ids[common.length] : undefined,
        );
        expect(next.includes(undefined) || new Set(next).size > 1).toBe(true);
      }
    }),
  );
});

test('the first tokens of both completions are predicted by the last token of the prompt', () => {
  const packed = packBranches([[{ ids: [1, 2, 3, 4], completionStart: 2 }], [{ ids: [1, 2, 5], completionStart: 2 }]]);
  const { targets, fork } = padRows(packed, { trunk: 3 });
  // [ 1 2 - | 3 4 | 5 - ]
  expect(fork).toEqual({ trunk: 3, branches: 2, branch: 2 });
  expect([...targets.source]).toEqual([1, 3, 1]);
  expect([...targets.label]).toEqual([3, 4, 5]);
  expect([...targets.row]).toEqual([0, 0, 1]);
});
