import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import type { Log } from 'mooring';
import { connectMpi } from '../../../../plugins/zero3-shard/mpi/connect-mpi.ts';

test('refuses to start where no launcher did', async () => {
  await expect(connectMpi({ log: {} as Log })).rejects.toMatchObject({ code: 'MPI_NOT_LAUNCHED' });
});

test.each([
  ['MPI_LIBRARY_MISSING', '/nowhere/libmpi.so', /\/nowhere\/libmpi.so/],
  ['MPI_LIBRARY_MISSING', 'libm.so.6', /MPI_Init_thread/],
])('says %s where the library is %s', (code, library, says) => {
  const environment = { OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '2', MOORING_MPI_LIBRARY: library };
  const module = new URL('../../../../plugins/zero3-shard/mpi/connect-mpi.ts', import.meta.url);
  const source = `import { connectMpi } from '${module}'; await connectMpi({});`;
  const program = ['--import', import.meta.resolve('mooring/register'), '--input-type=module', '--eval', source];
  const { status, stderr } = spawnSync(process.execPath, program, {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([1, expect.stringMatching(code)]);
  expect(stderr).toMatch(says);
});
