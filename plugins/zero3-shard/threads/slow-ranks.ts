import type { Log } from 'mooring';
import { sayWhoIsSlow, slowAfterMilliseconds, slowAgainAfter } from '../say-who-is-slow.ts';

/** Time, to be given by a test. */
export interface Timers {
  /** Milliseconds, from any fixed point. */
  now(): number;
  /** Does something after so many milliseconds, unless what it returns is called. */
  after(milliseconds: number, act: () => void): () => void;
}

/** Says which ranks are waited for, for how long and for what, where that takes long. */
export class SlowRanks {
  private readonly rank: number;
  private readonly log: Log;
  private readonly timers: Timers;

  constructor(rank: number, log: Log, timers: Timers = realTimers) {
    this.rank = rank;
    this.log = log;
    this.timers = timers;
  }

  /** Watches one wait, until what it returns is called. `missing` are the ranks that it is for. */
  watch(of: string, missing: () => readonly number[]): () => void {
    const since = this.timers.now();
    const waited = () => this.timers.now() - since;
    const sayAt = (milliseconds: number): (() => void) =>
      this.timers.after(milliseconds - waited(), () => {
        sayWhoIsSlow(this.log, this.rank, { of, missing: missing(), seconds: Math.round(waited() / 1000) });
        stop = sayAt(slowAgainAfter(milliseconds, waited()));
      });
    let stop = sayAt(slowAfterMilliseconds);
    return () => stop();
  }
}

const realTimers: Timers = {
  now: () => performance.now(),
  after(milliseconds, act) {
    // it also keeps the process alive: waiting on shared memory alone does not
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};
