import type { Log } from 'mooring';

/** A wait that takes long: what it is for, and the ranks that have not come to it. */
export interface LongWait {
  readonly of: string;
  readonly missing: readonly number[];
  readonly seconds: number;
}

/** After how long a rank says whom it waits for; and again at each doubling of the wait. */
export const slowAfterMilliseconds = 10_000;

/**
 * When to say it again, of a wait of which it was said for `milliseconds`: a thread that computes, or was stopped, may say
 * it later than that, and then does not make up for what it has missed.
 */
export function slowAgainAfter(milliseconds: number, waited: number): number {
  return waited < 2 * milliseconds ? 2 * milliseconds : slowAgainAfter(2 * milliseconds, waited);
}

/** Says which ranks are waited for; of those that wait, the first speaks for all. */
export function sayWhoIsSlow(log: Log, rank: number, { of, missing, seconds }: LongWait): void {
  const isFirst = missing.filter((each) => each < rank).length === rank;
  if (!isFirst || missing.length === 0) return;
  const who = `${missing.length === 1 ? 'rank' : 'ranks'} ${missing.join(', ')}`;
  log.warn({ of, missing, seconds }, `waiting for ${who} for ${seconds} s now, in ${of}`);
}
