import { isMainThread, workerData } from 'node:worker_threads';

/** What a thread that is one of several ranks finds as `workerData.mooring`. */
export interface ThreadRank {
  readonly rank: number;
  readonly ranks: number;
}

/** Which rank this thread is, where it was started as one of several. */
export function threadRank(): ThreadRank | undefined {
  return isMainThread ? undefined : (workerData as { readonly mooring?: ThreadRank } | null)?.mooring;
}

/**
 * Which rank runs this program, as the one who started it says: 0 where nobody does. It is for what comes before a run
 * has its Collectives, such as what the command line prints.
 */
export function currentRank(variables: NodeJS.ProcessEnv = process.env): number {
  const rank = threadRank()?.rank ?? launchers.map((name) => variables[name]).find((value) => value !== undefined);
  return Number(rank ?? 0);
}

/** Of Open MPI, and of what else starts processes for MPI. */
const launchers = ['OMPI_COMM_WORLD_RANK', 'PMIX_RANK', 'PMI_RANK'];
