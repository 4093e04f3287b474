import { isMainThread, workerData } from 'node:worker_threads';

/** What a thread that runs a rank of its own is told of it, as `workerData.mooring`. */
export interface ThreadRank {
  readonly rank: number;
  readonly ranks: number;
}

/** Which rank this thread is, where it was started as one of several. */
export function threadRank(): ThreadRank | undefined {
  return isMainThread ? undefined : (workerData as { readonly mooring?: ThreadRank } | null)?.mooring;
}

/**
 * Which rank runs this program, as whoever started it says: 0 where nobody does. For what comes before a run has
 * Collectives, such as what the command line prints.
 */
export function currentRank(): number {
  return threadRank()?.rank ?? 0;
}
