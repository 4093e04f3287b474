import { alone, type Collectives, type Log } from 'mooring';
import { keepFreedMemory } from './keep-memory.ts';
import { createMpi } from './mpi/create-mpi.ts';
import { type MpiEnvironment, mpiEnvironment } from './mpi/environment.ts';
import type { ZeroOptions } from './options.ts';
import { createThreads } from './threads/create-threads.ts';
import { failure } from './threads/errors.ts';

/**
 * How the ranks of a run reach each other: by MPI where its launcher started more than one process, else as threads;
 * `transport` decides otherwise. Warns where it is left open and there is one. Throws THREADS_IN_PROCESSES.
 */
export async function connectRanks(
  { ranks, transport }: Pick<ZeroOptions, 'ranks' | 'transport'>,
  log: Log,
  environment: MpiEnvironment | undefined = mpiEnvironment(),
): Promise<Collectives> {
  const { launcher = '', ranks: launched = 1 } = environment ?? {};
  if (transport === 'mpi' || (transport === undefined && launched > 1)) {
    await keepFreedMemory();
    return createMpi({ ranks, log });
  }
  if (launched > 1) throw failure('THREADS_IN_PROCESSES', { launcher, launched });
  if (ranks === undefined) log.warn({}, 'zero3-shard: one rank, nothing is split; give `ranks` or start under mpirun');
  if (ranks === undefined || ranks === 1) return alone;
  await keepFreedMemory();
  return createThreads({ ranks, log });
}
