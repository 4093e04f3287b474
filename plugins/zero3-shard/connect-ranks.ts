import { alone, type Collectives, type Log } from 'mooring';
import { keepFreedMemory } from './keep-memory.ts';
import { createMpi } from './mpi/create-mpi.ts';
import { mpiEnvironment } from './mpi/environment.ts';
import type { ZeroOptions } from './options.ts';
import { createThreads } from './threads/create-threads.ts';

/**
 * How the ranks of a run reach each other: by MPI where its launcher started more than one process, else as threads;
 * `transport` decides otherwise.
 */
export async function connectRanks({ ranks, transport }: ZeroOptions, log: Log): Promise<Collectives> {
  const isLaunched = (mpiEnvironment()?.ranks ?? 1) > 1;
  const isMpi = transport === 'mpi' || (transport === undefined && isLaunched);
  if (!isMpi && (ranks === undefined || ranks === 1)) return alone;
  await keepFreedMemory();
  return isMpi ? createMpi({ ranks, log }) : createThreads({ ranks: ranks ?? 1, log });
}
