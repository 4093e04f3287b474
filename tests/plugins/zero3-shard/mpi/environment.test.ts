import { expect, test } from '@jest/globals';
import { currentRanks } from '../../../../core/current-rank.ts';
import { processorsOf } from '../../../../plugins/zero3-shard/mpi/create-mpi.ts';
import { mpiEnvironment } from '../../../../plugins/zero3-shard/mpi/environment.ts';

test('reads rank and world as each launcher says them', () => {
  const openMpi = {
    OMPI_COMM_WORLD_RANK: '5',
    OMPI_COMM_WORLD_SIZE: '8',
    OMPI_COMM_WORLD_LOCAL_RANK: '1',
    OMPI_COMM_WORLD_LOCAL_SIZE: '4',
    OMPI_MCA_orte_bound_at_launch: '1',
    PMIX_RANK: '5',
  };
  const hydra = { PMI_RANK: '5', PMI_SIZE: '8', MPI_LOCALRANKID: '1', MPI_LOCALNRANKS: '4' };
  const slurm = {
    PMIX_RANK: '5',
    SLURM_STEP_NUM_TASKS: '8',
    SLURM_LOCALID: '1',
    SLURM_NODEID: '2',
    SLURM_STEP_TASKS_PER_NODE: '2(x2),4',
  };
  const found = { rank: 5, ranks: 8, localRank: 1, localRanks: 4 };
  expect(mpiEnvironment(openMpi)).toEqual({ ...found, isBound: true, launcher: 'Open MPI' });
  expect(mpiEnvironment(hydra)).toEqual({ ...found, isBound: false, launcher: 'MPICH' });
  expect(mpiEnvironment(slurm)).toEqual({ ...found, isBound: false, launcher: 'Slurm' });
});

test('takes mpiexec within a step of Slurm for what it is: the step has one task', () => {
  const variables = { PMI_RANK: '3', PMI_SIZE: '4', SLURM_STEP_NUM_TASKS: '1' };
  expect(mpiEnvironment(variables)).toMatchObject({ rank: 3, ranks: 4, launcher: 'MPICH' });
  expect(currentRanks(variables)).toBe(4);
});

test('finds no launcher in an ordinary environment, nor in a Slurm script outside srun', () => {
  expect(mpiEnvironment({ PATH: '/bin' })).toBeUndefined();
  expect(mpiEnvironment({ SLURM_PROCID: '0', SLURM_NTASKS: '8', SLURM_LOCALID: '0' })).toBeUndefined();
});

test('counts a rank alone on its host where the launcher does not say how many are there', () => {
  expect(mpiEnvironment({ PMI_RANK: '1', PMI_SIZE: '2' })).toMatchObject({ localRank: 0, localRanks: 1 });
});

test.each([
  ['shares what it sees with the other ranks', { localRanks: 4, isBound: false }, { here: 8, seen: 8 }, 2, false],
  ['has one at least', { localRanks: 4, isBound: false }, { here: 2, seen: 2 }, 1, false],
  ['sees less than the host has in a container', { localRanks: 2, isBound: false }, { here: 64, seen: 4 }, 2, false],
  ['has a core of two to itself', { localRanks: 2, isBound: true }, { here: 2, seen: 1 }, 1, false],
  ['shares a socket', { localRanks: 8, isBound: true }, { here: 32, seen: 16 }, 4, false],
  ['is kept to one core of many', { localRanks: 2, isBound: true }, { here: 64, seen: 1 }, 1, true],
])('a rank %s', (_, environment, processors, each, isNarrow) => {
  expect(processorsOf(environment, processors)).toEqual({ here: processors.here, each, isNarrow });
});
