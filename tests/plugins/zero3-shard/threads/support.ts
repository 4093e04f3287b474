import { pathToFileURL } from 'node:url';
import { type Collectives, createLog } from 'mooring';
import { createSharedMemory } from '../../../../plugins/zero3-shard/threads/create-threads.ts';
import { SlowRanks } from '../../../../plugins/zero3-shard/threads/slow-ranks.ts';
import type { Program } from '../../../../plugins/zero3-shard/threads/start-ranks.ts';
import { ThreadCollectives } from '../../../../plugins/zero3-shard/threads/thread-collectives.ts';

/** A program of this folder for ranks that are started from a test, which itself runs otherwise. */
export function ranksProgram(file: string, ...argv: string[]): Program {
  const register = pathToFileURL(`${import.meta.dirname}/../../../../core/cli/register.js`).href;
  return {
    entry: pathToFileURL(`${import.meta.dirname}/${file}`),
    options: { argv, execArgv: ['--import', register] },
  };
}

/** Ranks that are all in this thread, over the memory that threads share. */
export function ranksHere(ranks: number, arenaBytes?: number): ThreadCollectives[] {
  const memory = createSharedMemory(ranks, arenaBytes);
  return memory.arenas.map((_, rank) => new ThreadCollectives(memory, rank, new SlowRanks(rank, createLog('silent'))));
}

/** As `inRanks`, by the collectives of threads. */
export function inThreadsHere<Result>(
  ranks: number,
  body: (collectives: Collectives) => Promise<Result>,
): Promise<Result[]> {
  return Promise.all(ranksHere(ranks).map(body));
}
