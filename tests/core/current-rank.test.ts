import { expect, test } from '@jest/globals';
import { alone } from '../../core/collectives/collectives.ts';
import { refuseRepeated } from '../../core/collectives/refuse-repeated.ts';
import { currentRank, currentRanks, threadRank } from '../../core/current-rank.ts';
import { failureOf } from './support.ts';

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

test.each([
  [{}, 1],
  [{ OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_SIZE: '4', PMIX_RANK: '3' }, 4],
  [{ PMI_RANK: '2', PMI_SIZE: '3' }, 3],
  [{ PMIX_RANK: '2', SLURM_STEP_NUM_TASKS: '3' }, 3],
  [{ SLURM_STEP_NUM_TASKS: '3' }, 1],
])('how many ranks there are is what the launcher of one says: %j', (variables, ranks) => {
  expect(currentRanks(variables)).toBe(ranks);
});

test.each([
  { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '2', PMIX_RANK: '1' },
  { PMI_RANK: '1', PMI_SIZE: '2' },
  { PMIX_RANK: '1', SLURM_STEP_NUM_TASKS: '2' },
])('a run is refused no more without the variables that its refusal names: %j', async (variables) => {
  const { entry } = await failureOf(() => refuseRepeated(alone, variables));
  const named: readonly string[] = entry.remedy.match(/\b[A-Z_]+_RANK\b/g) ?? [];
  const others = Object.entries(variables).filter(([name]) => !named.includes(name));
  expect(() => refuseRepeated(alone, Object.fromEntries(others))).not.toThrow();
});

test('a run of one rank is refused in one of several processes, and a run of all is not', () => {
  const variables = { PMI_RANK: '1', PMI_SIZE: '2' };
  expect(() => refuseRepeated(alone, variables)).toThrow(/Rank 1 of 2, which all run this program/);
  expect(() => refuseRepeated({ ...alone, ranks: 2 }, variables)).not.toThrow();
  expect(() => refuseRepeated(alone, { PMI_RANK: '0', PMI_SIZE: '1' })).not.toThrow();
});
