import { availableParallelism, cpus } from 'node:os';
import { type Collectives, createLog, divideProcessors, type Log } from 'mooring';
import { connectMpi } from './connect-mpi.ts';
import { type MpiEnvironment, mpiEnvironment } from './environment.ts';
import { failure } from './errors.ts';

let running: Promise<Collectives> | undefined;

/**
 * The collectives of this process, which an MPI launcher started: all its runs share them. `ranks` is how many the run was
 * told to have, if it was. Divides the processors of this host among the ranks on it. Throws MPI_NOT_LAUNCHED,
 * MPI_RANKS_DIFFER and what `connectMpi` throws.
 */
export async function createMpi({
  ranks,
  log,
}: {
  readonly ranks?: number | undefined;
  readonly log: Log;
}): Promise<Collectives> {
  const environment = mpiEnvironment();
  if (environment === undefined) throw failure('MPI_NOT_LAUNCHED', {});
  const { rank, ranks: launched } = environment;
  if (ranks !== undefined && ranks !== launched) throw failure('MPI_RANKS_DIFFER', { ranks, launched });
  running ??= started(environment, rank === 0 ? log : createLog('warn'));
  return running;
}

function started(environment: MpiEnvironment, log: Log): Promise<Collectives> {
  const { here, each, isNarrow } = processorsOf(environment);
  if (isNarrow) log.warn({ here, each }, tooNarrow(here, environment));
  divideProcessors(environment.localRanks, 'processes', { processors: each * environment.localRanks });
  return connectMpi({ log, environment });
}

/** What processors a rank has to itself. */
export interface RankProcessors {
  /** On this host. */
  readonly here: number;
  readonly each: number;
  /** Whether the launcher keeps the ranks from using what none of them has. */
  readonly isNarrow: boolean;
}

/**
 * Open MPI binds each of few ranks to one core of its own, and each of many to the cores of a socket, which they share;
 * where it does, or MPICH was told to, a process sees only those.
 */
export function processorsOf(
  { localRanks, isBound }: Pick<MpiEnvironment, 'localRanks' | 'isBound'>,
  { here = cpus().length, seen = availableParallelism() } = {},
): RankProcessors {
  const share = Math.max(1, Math.floor((isBound ? here : seen) / localRanks));
  return { here, each: Math.min(share, seen), isNarrow: isBound && seen < share };
}

function tooNarrow(here: number, { localRanks }: MpiEnvironment): string {
  const share = Math.floor(here / localRanks);
  return `mpirun binds each rank to fewer than its ${share} of ${here} processors, so most of them idle: add --bind-to none`;
}
