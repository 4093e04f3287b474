import { expect, test } from '@jest/globals';
import { mpiEnvironment } from '../../../../plugins/zero3-shard/mpi/environment.ts';

test('reads rank and world as each launcher says them', () => {
  const openMpi = {
    OMPI_COMM_WORLD_RANK: '5',
    OMPI_COMM_WORLD_SIZE: '8',
    OMPI_COMM_WORLD_LOCAL_RANK: '1',
    OMPI_COMM_WORLD_LOCAL_SIZE: '4',
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
  expect(mpiEnvironment(openMpi)).toEqual({ ...found, launcher: 'Open MPI' });
  expect(mpiEnvironment(hydra)).toEqual({ ...found, launcher: 'MPICH' });
  expect(mpiEnvironment(slurm)).toEqual({ ...found, launcher: 'Slurm' });
});

test('finds no launcher in an ordinary environment, nor in a Slurm script outside srun', () => {
  expect(mpiEnvironment({ PATH: '/bin' })).toBeUndefined();
  expect(mpiEnvironment({ SLURM_PROCID: '0', SLURM_NTASKS: '8', SLURM_LOCALID: '0' })).toBeUndefined();
});

test('counts a rank alone on its host where the launcher does not say how many are there', () => {
  expect(mpiEnvironment({ PMI_RANK: '1', PMI_SIZE: '2' })).toMatchObject({ localRank: 0, localRanks: 1 });
});
