/** Where a process stands among those that a launcher started together. */
export interface MpiEnvironment {
  /** Which of all processes this is, from 0. */
  readonly rank: number;
  /** How many there are on all hosts. */
  readonly ranks: number;
  /** Which of those on this host it is, from 0. */
  readonly localRank: number;
  /** How many run on this host. */
  readonly localRanks: number;
  /** Whether the launcher has bound each rank to some of the processors. */
  readonly isBound: boolean;
  /** Whose variables say so: it tells which library to load. */
  readonly launcher: 'Open MPI' | 'MPICH' | 'Slurm';
}

/** Variables that a launcher sets in every process it starts. Of Slurm's own, only `srun` with an MPI plugin counts. */
const launchers = [
  {
    launcher: 'Open MPI',
    rank: ['OMPI_COMM_WORLD_RANK'],
    ranks: ['OMPI_COMM_WORLD_SIZE'],
    localRank: ['OMPI_COMM_WORLD_LOCAL_RANK'],
    localRanks: ['OMPI_COMM_WORLD_LOCAL_SIZE'],
  },
  {
    launcher: 'Slurm',
    rank: ['PMIX_RANK', 'PMI_RANK'],
    ranks: ['SLURM_STEP_NUM_TASKS'],
    localRank: ['SLURM_LOCALID'],
    localRanks: [],
  },
  {
    launcher: 'MPICH',
    rank: ['PMI_RANK', 'PMIX_RANK'],
    ranks: ['PMI_SIZE'],
    localRank: ['MPI_LOCALRANKID'],
    localRanks: ['MPI_LOCALNRANKS'],
  },
] as const;

/**
 * Rank and world as `mpirun`, `mpiexec` or `srun --mpi` put them into the environment; undefined where none of them
 * started this process. What a launcher does not say of the host counts as one rank on it.
 */
export function mpiEnvironment(variables: NodeJS.ProcessEnv = process.env): MpiEnvironment | undefined {
  const first = (names: readonly string[]) => {
    const value = names.map((name) => variables[name]).find((each) => each !== undefined && /^\d+$/.test(each));
    return value === undefined ? undefined : Number(value);
  };
  for (const { launcher, ...names } of launchers) {
    const [rank, ranks] = [first(names.rank), first(names.ranks)];
    if (rank === undefined || ranks === undefined) continue;
    // `mpiexec` within a step of Slurm: the step is not what these processes are
    if (launcher === 'Slurm' && (first(['PMI_SIZE']) ?? ranks) !== ranks) continue;
    const localRank = first(names.localRank) ?? 0;
    const localRanks = launcher === 'Slurm' ? slurmTasksHere(variables) : first(names.localRanks);
    const isBound = variables.OMPI_MCA_orte_bound_at_launch === '1';
    return { rank, ranks, localRank, localRanks: localRanks ?? 1, isBound, launcher };
  }
  return undefined;
}

/** Slurm says `2(x3),1` for three hosts of two tasks and one of one, and which host this is. */
function slurmTasksHere(variables: NodeJS.ProcessEnv): number | undefined {
  const hosts = (variables.SLURM_STEP_TASKS_PER_NODE ?? '').split(',').flatMap((part) => {
    const [, tasks, times] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    return Array.from({ length: Number(times ?? 1) }, () => Number(tasks));
  });
  const here = hosts[Number(variables.SLURM_NODEID ?? 0)];
  return Number.isInteger(here) ? here : undefined;
}
