import { defineErrors, MooringError } from '../errors.ts';

/** What can go wrong between ranks. */
export const failure = defineErrors({
  RANK_FAILED: {
    fact: 'Rank {rank} failed: {cause}',
    consequence:
      'The other ranks waited for it ({awaited}), so the run ended on all of them; what was saved before is whole.',
    remedy: 'See what rank {rank} says of it, and go on from the last checkpoint with --resume.',
  },
  RUN_REPEATED: {
    fact: 'Rank {rank} of {ranks}, which all run this program, came to a run that has one rank.',
    consequence: 'Each of them would train it, into the same output, so it was not begun.',
    remedy:
      'Give it zero3-shard with the same ranks, or train it in a program of its own, which no MPI launcher starts. Where each process is a run of its own, as srun may start them, clear OMPI_COMM_WORLD_RANK, PMIX_RANK and PMI_RANK.',
  },
});

/** The error of a rank that waited, or would wait, in `awaited` for one that failed. */
export function rankFailed(rank: number, cause: string, awaited: string): MooringError {
  return failure('RANK_FAILED', { rank, cause: /[.!?]$/.test(cause) ? cause : `${cause}.`, awaited });
}

/** An error as the cause that other ranks are told: what is so, without what follows from it for the one that failed. */
export function causeOf(error: unknown): string {
  if (error instanceof MooringError) return `${error.code}: ${error.entry.fact}`;
  return error instanceof Error ? error.message : String(error);
}
