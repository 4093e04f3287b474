import { slowAgainAfter } from '../say-who-is-slow.ts';

/** What to do about a collective that takes long. */
export interface Impatience {
  /** Ranks to ask whether they have come to it. */
  readonly ask: readonly number[];
  /** What to say to people. */
  readonly report?: { readonly seconds: number; readonly missing: readonly number[] };
}

/** Watches how long a collective takes, and when it is time to say who is missing: after `slowAfterMs`, and again. */
export class Patience {
  private readonly begun: number;
  private readonly others: readonly number[];
  private readonly there = new Set<number>();
  private limitMs: number;
  private isAsked = false;

  constructor(slowAfterMs: number, ranks: number, rank: number, now = performance.now()) {
    this.begun = now;
    this.limitMs = slowAfterMs;
    this.others = Array.from({ length: ranks }, (_, each) => each).filter((each) => each !== rank);
  }

  /** A rank has come to it. */
  isThere(rank: number): void {
    this.there.add(rank);
  }

  /** The others are asked a little before the time is up, so that their answers are there. */
  next(now: number): Impatience {
    const waited = now - this.begun;
    const missing = this.others.filter((rank) => !this.there.has(rank));
    if (!this.isAsked && waited > 0.9 * this.limitMs) {
      this.isAsked = true;
      return { ask: missing };
    }
    if (waited < this.limitMs) return { ask: [] };
    this.limitMs = slowAgainAfter(this.limitMs, waited);
    this.isAsked = false;
    return { ask: [], report: { seconds: Math.round(waited / 1000), missing } };
  }
}
