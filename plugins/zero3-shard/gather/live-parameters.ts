import { keep, type Tensor } from '@tensorflow/tfjs';
import type { Collectives, ParameterStore } from 'mooring';
import { elementsOf, lengthOf, type Partition } from '../partition.ts';
import type { Counters } from '../statistics.ts';
import { gatherStored } from './gather-stored.ts';

/** Parameters that stay whole here until they are released. */
export interface Lease {
  /** Resolves when all of them are whole. Rejects with RANK_FAILED. */
  readonly ready: Promise<void>;
  release(): void;
}

/** A parameter that is whole here, or will be when its gather ends. */
interface Entry {
  readonly name: string;
  readonly version: number;
  readonly elements: number;
  holders: number;
  /** Whether no view has this value any more. */
  isStale: boolean;
  isGone: boolean;
  stored?: Tensor;
  ready: Promise<void>;
}

/**
 * The parameters that are whole on this rank now. What nobody holds any more stays, the last used longest, while all of
 * them have at most `maxLiveParameters` elements. A value is known by its version, not by its view: views that share a
 * buffer share one gather. What is gathered when depends only on what is equal on all ranks, never on when a gather ends.
 */
export class LiveParameters {
  private readonly inner: ParameterStore;
  private readonly partition: Partition;
  private readonly collectives: Collectives;
  private readonly maxLiveParameters: number;
  private readonly counters: Counters;
  private readonly specOf: ParameterStore['spec'];
  private readonly entries = new Map<string, Entry>();
  private elements = 0;

  constructor(options: {
    readonly inner: ParameterStore;
    readonly specOf: ParameterStore['spec'];
    readonly partition: Partition;
    readonly collectives: Collectives;
    readonly maxLiveParameters: number;
    readonly counters: Counters;
  }) {
    this.inner = options.inner;
    this.specOf = options.specOf;
    this.partition = options.partition;
    this.collectives = options.collectives;
    this.maxLiveParameters = options.maxLiveParameters;
    this.counters = options.counters;
  }

  /** Starts to gather what is not whole yet. */
  hold(names: readonly string[], view: string): Lease {
    const split = [...new Set(names)].filter((name) => !this.partition.isWhole(this.specOf(name)));
    const missing = split.filter((name) => !this.entries.has(this.keyOf(name, view)));
    this.gather(missing, view);
    const held = split.map((name) => this.entries.get(this.keyOf(name, view)) as Entry);
    for (const entry of held) {
      entry.holders++;
      this.entries.delete(keyOf(entry));
      this.entries.set(keyOf(entry), entry); // the last used is last
    }
    const ready = Promise.all(held.map((entry) => entry.ready)).then(() => undefined);
    ready.catch(() => undefined); // thrown where it is awaited
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      for (const entry of held) if (--entry.holders === 0 && entry.isStale) this.drop(entry);
      this.trim();
    };
    return { ready, release };
  }

  /** What is stored of a parameter that somebody holds; `undefined` where nobody does. It stays here. */
  find(name: string, view: string): Tensor | undefined {
    const entry = this.entries.get(this.keyOf(name, view));
    return entry !== undefined && entry.holders > 0 ? entry.stored : undefined;
  }

  /** Lets go of values that a parameter does not have any more, in none of these views. */
  forget(name: string, views: Iterable<string>): void {
    const current = new Set([...views].map((view) => this.inner.version(name, view)));
    for (const entry of this.entries.values()) {
      if (entry.name !== name || current.has(entry.version)) continue;
      entry.isStale = true;
      if (entry.holders === 0) this.drop(entry);
    }
  }

  clear(): void {
    for (const entry of this.entries.values()) this.drop(entry);
  }

  private gather(names: readonly string[], view: string): void {
    if (names.length === 0) return;
    const { inner, partition, counters } = this;
    const wanted = names.map((name) => {
      return { spec: this.specOf(name), storage: inner.storage(name, view), own: inner.readStored(name, view) };
    });
    const { stored, calls } = gatherStored(wanted, partition, this.collectives);
    counters.gathered[view] = (counters.gathered[view] ?? 0) + names.length;
    counters.gatherCalls += calls;
    const started = performance.now();
    for (const [index, { spec, storage }] of wanted.entries()) {
      const elements = elementsOf(spec);
      counters.bytesGathered += (elements - lengthOf(partition.range(spec))) * (storage === 'float32' ? 4 : 2);
      const { name } = spec;
      const version = inner.version(name, view);
      const ready = (stored[index] as Promise<Tensor>).then((whole) => {
        if (entry.isGone) whole.dispose();
        else entry.stored = keep(whole);
      });
      const entry: Entry = { name, version, elements, holders: 0, isStale: false, isGone: false, ready };
      ready.catch(() => undefined); // thrown where it is awaited
      this.entries.set(keyOf(entry), entry);
      this.elements += elements;
    }
    const ended = () => {
      counters.millisecondsGathering += performance.now() - started;
    };
    Promise.all(stored).then(ended, () => undefined);
  }

  private trim(): void {
    for (const entry of this.entries.values()) {
      if (this.elements <= this.maxLiveParameters) return;
      if (entry.holders === 0) this.drop(entry);
    }
  }

  private drop(entry: Entry): void {
    if (entry.isGone) return;
    this.entries.delete(keyOf(entry));
    this.elements -= entry.elements;
    entry.isGone = true;
    entry.stored?.dispose();
  }

  private keyOf(name: string, view: string): string {
    return keyOf({ name, version: this.inner.version(name, view) });
  }
}

function keyOf({ name, version }: Pick<Entry, 'name' | 'version'>): string {
  return `${version} ${name}`;
}
