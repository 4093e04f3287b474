import { type Collectives, type DirectCollectives, type Payload, type Reduction, reduce } from 'mooring';
import { Calls, type Place, type SharedMemory } from './calls.ts';
import { directCalls } from './direct-calls.ts';
import type { SlowRanks } from './slow-ranks.ts';
import { emptyLike } from './views.ts';

/**
 * Collectives of ranks that are threads of one process. A call publishes what this rank gives at once, into memory that
 * all see; once all have, each copies, or adds, straight from there. Results come in the order of the calls.
 */
export class ThreadCollectives implements Collectives {
  readonly transport = 'threads';
  readonly rank: number;
  readonly ranks: number;
  readonly direct: DirectCollectives;
  private readonly calls: Calls;

  constructor(memory: SharedMemory, rank: number, slowRanks: SlowRanks, onFailure?: () => void) {
    this.calls = new Calls(memory, rank, slowRanks, onFailure);
    this.rank = rank;
    this.ranks = this.calls.ranks;
    this.direct = directCalls(this.calls);
  }

  /** Whether this rank's program has been told that a rank failed, or said so. */
  get isFailureKnown(): boolean {
    return this.calls.isFailureKnown;
  }

  allGather<Data extends Payload>(own: Data, sizes: readonly number[], of: string): Promise<Data> {
    const width = own.BYTES_PER_ELEMENT;
    return this.calls.make(of, {
      write: giving(own),
      bytes: own.byteLength,
      awaits: (rank) => width * (sizes[rank] as number),
      read: () => {
        const whole = emptyLike(own, before(sizes, this.ranks));
        for (let rank = 0, at = 0; rank < this.ranks; rank++) {
          // its own part need not come from memory that is shared
          whole.set(rank === this.rank ? own : this.calls.view(own, rank, 0, sizes[rank] as number), at);
          at += sizes[rank] as number;
        }
        return whole;
      },
    });
  }

  reduceScatter<Data extends Float32Array | Uint16Array>(
    values: Data,
    sizes: readonly number[],
    reduction: Reduction,
    of: string,
  ): Promise<Data> {
    const begin = before(sizes, this.rank);
    const size = sizes[this.rank] as number;
    const own = values.subarray(begin, begin + size) as Data;
    return this.calls.make(of, {
      write(place) {
        // all but what only this rank will read
        const [left, right] = [values.subarray(0, begin), values.subarray(begin + size)];
        giving(left)(place);
        place(right, (begin + size) * right.BYTES_PER_ELEMENT, right.length).set(right);
      },
      bytes: values.byteLength,
      awaits: () => values.byteLength,
      read: () => this.reduced(own, begin, reduction),
    });
  }

  allReduce<Data extends Float32Array | Uint16Array>(values: Data, reduction: Reduction, of: string): Promise<Data> {
    return this.calls.make(of, {
      write: giving(values),
      bytes: values.byteLength,
      awaits: () => values.byteLength,
      read: () => this.reduced(values, 0, reduction),
    });
  }

  broadcast<Data extends Payload>(values: Data, root: number, of: string): Promise<Data> {
    const isRoot = this.rank === root;
    return this.calls.make(of, {
      write: isRoot ? giving(values) : () => {},
      bytes: isRoot ? values.byteLength : 0,
      awaits: (rank) => (rank === root ? values.byteLength : 0),
      read: () => {
        const copy = emptyLike(values, values.length);
        copy.set(isRoot ? values : this.calls.view(values, root, 0, values.length));
        return copy;
      },
    });
  }

  barrier(of: string): Promise<void> {
    return this.calls.make(of, { write: () => {}, bytes: 0, awaits: () => 0, read: () => undefined });
  }

  abort(cause: string): void {
    this.calls.abort(cause);
  }

  /** Says of any rank that it failed. */
  fail(rank: number, cause: string): void {
    this.calls.fail(rank, cause);
  }

  private reduced<Data extends Float32Array | Uint16Array>(own: Data, begin: number, reduction: Reduction): Data {
    const parts = Array.from({ length: this.ranks }, (_, rank) =>
      rank === this.rank ? own : this.calls.view(own, rank, begin * own.BYTES_PER_ELEMENT, own.length),
    );
    return reduce(parts, reduction, emptyLike(own, own.length));
  }
}

/** Gives values as they are. */
function giving(values: Payload): (place: Place) => void {
  return (place) => place(values, 0, values.length).set(values);
}

/** How many elements lie before those of a rank. */
function before(sizes: readonly number[], rank: number): number {
  return sizes.slice(0, rank).reduce((sum, size) => sum + size, 0);
}
