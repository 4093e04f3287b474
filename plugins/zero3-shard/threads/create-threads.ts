import { availableParallelism } from 'node:os';
import { isMainThread, workerData } from 'node:worker_threads';
import { type Collectives, createLog, divideProcessors, type Log, noteThreads } from 'mooring';
import { createArena } from '../arena.ts';
import { createBoard } from './board.ts';
import type { SharedMemory } from './calls.ts';
import { endTogether } from './end-together.ts';
import { failure } from './errors.ts';
import { SlowRanks } from './slow-ranks.ts';
import { type Program, type RankData, startRanks } from './start-ranks.ts';
import { ThreadCollectives } from './thread-collectives.ts';

/** Each takes 4 GiB of address space, of which a process has 128 TiB: Node was seen to crash where they took all. */
const mostRanks = 2 ** 14;

let running: ThreadCollectives | undefined;

/**
 * The collectives of this thread. In the main thread, rank 0, the first call starts the other ranks: worker threads that
 * run the same program, with the same arguments, and come to the same call. All runs of a program share its ranks. Throws
 * RANKS_CHANGED, RANKS_NEED_MAIN and RANKS_TOO_MANY.
 */
export function createThreads({ ranks, log }: { readonly ranks: number; readonly log: Log }): Collectives {
  running ??= joined(workerData as Partial<RankData> | null) ?? started(ranks, log);
  if (running.ranks !== ranks) throw failure('RANKS_CHANGED', { running: running.ranks, ranks });
  return running;
}

/** Memory for so many ranks. */
export function createSharedMemory(ranks: number, arenaBytes?: number): SharedMemory {
  return { board: createBoard(ranks), arenas: Array.from({ length: ranks }, () => createArena(arenaBytes)) };
}

/** Warns of ranks that take turns. */
export function warnOfCrowd(ranks: number, log: Log, processors = availableParallelism()): void {
  if (ranks <= processors) return;
  log.warn(
    { ranks, processors },
    `zero3-shard: ${ranks} ranks on ${processors} processors take turns, which is slower`,
  );
}

function joined(data: Partial<RankData> | null): ThreadCollectives | undefined {
  if (isMainThread || data?.mooring === undefined) return undefined;
  const { rank, memory } = data.mooring;
  // the log of the run says errors only, where it is not the first rank's; this is for the case that the first is slow
  return new ThreadCollectives(memory, rank, new SlowRanks(rank, createLog('warn')));
}

function started(ranks: number, log: Log): ThreadCollectives {
  if (ranks > mostRanks) throw failure('RANKS_TOO_MANY', { ranks, most: mostRanks });
  const memory = createSharedMemory(ranks);
  const first = new ThreadCollectives(memory, 0, new SlowRanks(0, log), () => endAll());
  const program = currentProgram();
  warnOfCrowd(ranks, log);
  divideProcessors(ranks, 'threads');
  noteThreads(ranks);
  const endAll: () => void = endTogether(first, (ended) => startRanks(memory, program, ended), log);
  return first;
}

function currentProgram(): Program {
  if (!isMainThread) throw failure('RANKS_NEED_MAIN', { where: 'in a worker thread' });
  const [, entry] = process.argv;
  if (entry === undefined) throw failure('RANKS_NEED_MAIN', { where: 'in a program that is in no file' });
  return { entry, options: { argv: process.argv.slice(2) } };
}
