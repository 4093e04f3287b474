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
  return threadRank()?.rank ?? first(rankNames, variables) ?? 0;
}

/** How many ranks run this program, as far as who started them says: 1 where nobody does. */
export function currentRanks(variables: NodeJS.ProcessEnv = process.env): number {
  const threads = threadRank()?.ranks ?? startedThreads;
  if (threads !== undefined) return threads;
  // Slurm says how many processes there are where they are no ranks, too
  return first(rankNames, variables) === undefined ? 1 : (first(ranksNames, variables) ?? 1);
}

/** Notes that this thread has started others, so that as many ranks as this run its program. */
export function noteThreads(ranks: number): void {
  startedThreads = ranks;
}

let startedThreads: number | undefined;

/** Variables of Open MPI, and of what else starts processes for MPI. */
const rankNames = ['OMPI_COMM_WORLD_RANK', 'PMIX_RANK', 'PMI_RANK'];
// `mpiexec` within a step of Slurm starts more processes than the step has: what it says itself comes first
const ranksNames = ['OMPI_COMM_WORLD_SIZE', 'PMI_SIZE', 'SLURM_STEP_NUM_TASKS'];

function first(names: readonly string[], variables: NodeJS.ProcessEnv): number | undefined {
  const value = names.map((name) => variables[name]).find((each) => each !== undefined);
  return value === undefined ? undefined : Number(value);
}
