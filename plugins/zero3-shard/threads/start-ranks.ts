import { Worker, type WorkerOptions } from 'node:worker_threads';
import { causeOf } from 'mooring';
import type { SharedMemory } from './calls.ts';

/** What a rank is told as `workerData`. */
export interface RankData {
  readonly mooring: { readonly rank: number; readonly ranks: number; readonly memory: SharedMemory };
}

/** The program that every rank runs, and how. */
export interface Program {
  readonly entry: string | URL;
  readonly options?: Pick<WorkerOptions, 'argv' | 'execArgv'>;
}

/** Hears that a rank has ended, and in words why; `isError` where it is not because its program came to its end. */
export type Ended = (rank: number, cause: string, isError: boolean) => void;

/** Starts every rank but the first as a worker thread. */
export function startRanks(memory: SharedMemory, { entry, options }: Program, ended: Ended): Worker[] {
  const ranks = memory.arenas.length;
  return memory.arenas.slice(1).map((_, index) => {
    const rank = index + 1;
    const workerData: RankData = { mooring: { rank, ranks, memory } };
    const worker = new Worker(entry, { ...options, workerData });
    worker.once('error', (error) => ended(rank, causeOf(error), true));
    worker.once('exit', (code) => {
      if (code === 0) ended(rank, 'its program ended before that of the others', false);
      else ended(rank, `it exited with code ${code}`, true);
    });
    return worker;
  });
}
