import { expect, test } from '@jest/globals';
import { currentRank, threadRank } from '../../core/current-rank.ts';

test.each([
  [{}, 0],
  [{ OMPI_COMM_WORLD_RANK: '3', PMIX_RANK: '3' }, 3],
  [{ PMI_RANK: '2' }, 2],
])('the rank of a process is what its launcher says: %j', (variables, rank) => {
  expect(currentRank(variables)).toBe(rank);
});

test('a thread that nobody started as a rank is none', () => {
  expect(threadRank()).toBeUndefined();
});
