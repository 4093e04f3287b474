import { alone, type Collectives, type Log } from 'mooring';
import { createMpi } from './mpi/create-mpi.ts';
import { mpiEnvironment } from './mpi/environment.ts';
import type { ZeroOptions } from './options.ts';
import { createThreads } from './threads/create-threads.ts';

/**
 * How the ranks of a run reach each other: by MPI where its launcher started more than one process, else as threads;
 * `transport` decides otherwise.
 */
export function connectRanks({ ranks, transport }: ZeroOptions, log: Log): Collectives | Promise<Collectives> {
  const isLaunched = (mpiEnvironment()?.ranks ?? 1) > 1;
  if (transport === 'mpi' || (transport === undefined && isLaunched)) return createMpi({ ranks, log });
  return ranks === undefined || ranks === 1 ? alone : createThreads({ ranks, log });
}
