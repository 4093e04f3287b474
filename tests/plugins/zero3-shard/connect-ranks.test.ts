import { expect, test } from '@jest/globals';
import { connectRanks } from '../../../plugins/zero3-shard/connect-ranks.ts';
import type { MpiEnvironment } from '../../../plugins/zero3-shard/mpi/environment.ts';
import { quiet } from '../../core/support.ts';

const launched = (ranks: number): MpiEnvironment => ({
  rank: 1,
  ranks,
  localRank: 1,
  localRanks: ranks,
  isBound: false,
  launcher: 'Open MPI',
});

test.each([undefined, 1, 2])(
  'threads are refused in one of several processes, where there are to be %p',
  async (ranks) => {
    await expect(connectRanks({ ranks, transport: 'threads' }, quiet, launched(3))).rejects.toMatchObject({
      code: 'THREADS_IN_PROCESSES',
      entry: { fact: 'The transport is threads, and Open MPI started 3 processes.' },
    });
  },
);

test('a process that a launcher started alone is one rank', async () => {
  expect(await connectRanks({ ranks: 1, transport: 'threads' }, quiet, launched(1))).toMatchObject({ ranks: 1 });
});

test.each([
  [undefined, ['zero3-shard: one rank, nothing is split; give `ranks` or start under mpirun']],
  [1, []],
])('that nothing is split is said where %p ranks were asked for', async (ranks, said) => {
  const warnings: string[] = [];
  const log = { ...quiet, warn: (_: object, message: string) => void warnings.push(message) };
  expect(await connectRanks({ ranks }, log, undefined)).toMatchObject({ ranks: 1 });
  expect(warnings).toEqual(said);
});
