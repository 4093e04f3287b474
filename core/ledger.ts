import type { LedgerEntry } from './hook-arguments.ts';
import { runsAhead, type TapMeter } from './hooks/runner.ts';

/** Tensors and bytes of unique buffers that exist at a moment, as the engine counts them. */
export interface MemoryCount {
  readonly tensors: number;
  readonly bytes: number;
}

type Use = { milliseconds: number; tensors: number; bytes: number };
type Entry = { -readonly [Key in keyof LedgerEntry]: LedgerEntry[Key] };

const nothing: Readonly<Use> = { milliseconds: 0, tensors: 0, bytes: 0 };

/**
 * What each plugin used, by hook: milliseconds, and the tensors and bytes that it left behind. A tap inside another
 * tap counts for itself only. A plugin whose `tensors` grow with the steps in an observing hook leaks them.
 */
export class Ledger implements TapMeter {
  private readonly now: () => number;
  private readonly memory: () => MemoryCount;
  private readonly run = new Map<string, Entry>();
  private step = new Map<string, Entry>();
  private awaited = 0;
  private inner: Use = { ...nothing };

  constructor(now: () => number, memory: () => MemoryCount) {
    this.now = now;
    this.memory = memory;
  }

  begin(plugin: string, hook: string): () => void {
    const start = { milliseconds: this.now(), ...this.memory() };
    if (runsAhead(hook))
      return () => this.add(plugin, hook, { ...nothing, milliseconds: this.now() - start.milliseconds });
    const outer = this.inner;
    this.inner = { ...nothing };
    return () => {
      const end = this.memory();
      const used = {
        milliseconds: this.now() - start.milliseconds,
        tensors: end.tensors - start.tensors,
        bytes: end.bytes - start.bytes,
      };
      this.add(plugin, hook, used, this.inner);
      add(outer, used);
      this.inner = outer;
    };
  }

  /** Milliseconds that the steps of the run have waited for their batches: what was not ready when it was needed. */
  get millisecondsAwaitingData(): number {
    return this.awaited;
  }

  /** Waits for the batches of a step, and notes how long. */
  async awaitData<Data>(data: Promise<Data>): Promise<Data> {
    const start = this.now();
    try {
      return await data;
    } finally {
      this.awaited += this.now() - start;
    }
  }

  /** Starts the account of a step anew. */
  beginStep(): void {
    this.step = new Map();
  }

  /** The account of the whole run, or of the step in progress. */
  entries(of: 'run' | 'step' = 'run'): readonly LedgerEntry[] {
    return [...(of === 'run' ? this.run : this.step).values()].map((entry) => ({ ...entry }));
  }

  private add(plugin: string, hook: string, used: Use, less?: Use): void {
    for (const entries of [this.run, this.step]) add(entryOf(entries, plugin, hook), used, less);
  }
}

function entryOf(entries: Map<string, Entry>, plugin: string, hook: string): Entry {
  const key = `${plugin} ${hook}`;
  const entry = entries.get(key) ?? { plugin, hook, calls: 0, milliseconds: 0, tensors: 0, bytes: 0 };
  entry.calls++;
  entries.set(key, entry);
  return entry;
}

function add(to: Use, used: Use, less: Use = nothing): void {
  to.milliseconds += used.milliseconds - less.milliseconds;
  to.tensors += used.tensors - less.tensors;
  to.bytes += used.bytes - less.bytes;
}
