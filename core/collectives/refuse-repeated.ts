import { currentRank, currentRanks } from '../current-rank.ts';
import type { Collectives } from './collectives.ts';
import { failure } from './errors.ts';

/**
 * Makes sure that what one rank is to do is not done by every rank that runs this program: threads run it from its
 * beginning, with all runs that come before theirs, and a launcher starts as many processes as it was told. Throws
 * RUN_REPEATED.
 */
export function refuseRepeated({ ranks }: Collectives, variables: NodeJS.ProcessEnv = process.env): void {
  const started = currentRanks(variables);
  if (ranks === 1 && started > 1) throw failure('RUN_REPEATED', { rank: currentRank(variables), ranks: started });
}
