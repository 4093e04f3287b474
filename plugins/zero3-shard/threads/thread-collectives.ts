import { type Collectives, causeOf, type Payload, type Reduction, rankFailed, reduce } from 'mooring';
import { Arena } from './arena.ts';
import { Board, slots } from './board.ts';
import type { SlowRanks } from './slow-ranks.ts';

/** What all ranks share: the board, and an arena for what each publishes. */
export interface SharedMemory {
  readonly board: SharedArrayBuffer;
  readonly arenas: readonly SharedArrayBuffer[];
}

/** A collective in progress. */
interface Call {
  readonly of: string;
  /** What this rank gives, in pieces that lie so far from the beginning. */
  readonly gives: readonly (readonly [begin: number, values: Payload])[];
  readonly bytes: number;
  /** Bytes that a rank must have published for it. */
  readonly awaits: (rank: number) => number;
  /** Makes the result; everyone's part is there. */
  readonly read: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Collectives of ranks that are threads of one process. A call publishes what this rank gives at once, into memory that
 * all see; once all have, each copies, or adds, straight from there. Results come in the order of the calls.
 */
export class ThreadCollectives implements Collectives {
  readonly transport = 'threads';
  readonly rank: number;
  readonly ranks: number;
  /** Whether this rank's program has been told that a rank failed, or said so. */
  isFailureKnown = false;
  private readonly memory: SharedMemory;
  private readonly board: Board;
  private readonly arena: Arena;
  private readonly slowRanks: SlowRanks;
  private readonly onFailure: () => void;
  private calls: Call[] = [];
  private published = 0;
  private read = 0;
  private isOver = false;
  private isBlocked = false;
  private isWaiting = false;

  constructor(memory: SharedMemory, rank: number, slowRanks: SlowRanks, onFailure = () => {}) {
    this.memory = memory;
    this.rank = rank;
    this.ranks = memory.arenas.length;
    this.slowRanks = slowRanks;
    this.onFailure = onFailure;
    this.board = new Board(memory.board, this.ranks);
    this.arena = new Arena(memory.arenas[rank] as SharedArrayBuffer);
  }

  allGather<Data extends Payload>(own: Data, sizes: readonly number[], of: string): Promise<Data> {
    const width = own.BYTES_PER_ELEMENT;
    return this.call(of, {
      gives: [[0, own]],
      bytes: own.byteLength,
      awaits: (rank) => width * (sizes[rank] as number),
      read: () => {
        const whole = emptyLike(own, before(sizes, this.ranks));
        for (let rank = 0, at = 0; rank < this.ranks; rank++) {
          // its own part need not come from memory that is shared
          whole.set(rank === this.rank ? own : this.view(own, rank, 0, sizes[rank] as number), at);
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
    return this.call(of, {
      // all but what only this rank will read
      gives: [
        [0, values.subarray(0, begin)],
        [begin + size, values.subarray(begin + size)],
      ],
      bytes: values.byteLength,
      awaits: () => values.byteLength,
      read: () => this.reduced(own, begin, reduction),
    });
  }

  allReduce<Data extends Float32Array | Uint16Array>(values: Data, reduction: Reduction, of: string): Promise<Data> {
    return this.call(of, {
      gives: [[0, values]],
      bytes: values.byteLength,
      awaits: () => values.byteLength,
      read: () => this.reduced(values, 0, reduction),
    });
  }

  broadcast<Data extends Payload>(values: Data, root: number, of: string): Promise<Data> {
    const isRoot = this.rank === root;
    return this.call(of, {
      gives: isRoot ? [[0, values]] : [],
      bytes: isRoot ? values.byteLength : 0,
      awaits: (rank) => (rank === root ? values.byteLength : 0),
      read: () => {
        const copy = emptyLike(values, values.length);
        copy.set(isRoot ? values : this.view(values, root, 0, values.length));
        return copy;
      },
    });
  }

  barrier(of: string): Promise<void> {
    return this.call(of, { gives: [], bytes: 0, awaits: () => 0, read: () => undefined });
  }

  abort(cause: string): void {
    this.learnOfFailure();
    this.fail(this.rank, cause);
  }

  /** Says of any rank that it failed. */
  fail(rank: number, cause: string): void {
    this.board.fail(rank, cause);
    this.advance();
  }

  private learnOfFailure(): void {
    this.isFailureKnown = true;
    this.onFailure();
  }

  private call<Result>(of: string, call: Omit<Call, 'of' | 'resolve' | 'reject'>): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.calls.push({ ...call, of, resolve: resolve as Call['resolve'], reject });
      this.advance();
      if (!this.isWaiting) void this.wait();
    });
  }

  /** Advances whenever the bell rings, while there is a call to wait for. */
  private async wait(): Promise<void> {
    this.isWaiting = true;
    let watched: Call | undefined;
    let unwatch = () => {};
    while (true) {
      const rings = this.board.rings();
      this.advance();
      const [first] = this.calls;
      if (first !== watched) {
        unwatch();
        watched = first;
        if (first !== undefined) unwatch = this.slowRanks.watch(first.of, () => this.missing());
      }
      if (first === undefined) break;
      await this.board.nextRing(rings);
    }
    this.isWaiting = false;
  }

  /** Publishes what there is room for, and reads what all have published, as far as it goes. */
  private advance(): void {
    if (this.isOver) {
      this.rejectAll();
      return;
    }
    try {
      this.publish();
      while (this.calls.length > 0 && this.missing().length === 0 && this.isSameOnAll()) {
        const call = this.calls[0] as Call;
        const result = call.read();
        this.calls.shift();
        call.resolve(result);
        this.board.markRead(this.rank, ++this.read);
        this.publish();
      }
    } catch (error) {
      this.board.fail(this.rank, causeOf(error));
    }
    if (this.calls.length > 0 && this.board.failure() !== undefined) this.rejectAll();
  }

  /** Ends what is in progress, and what comes later: the calls of the ranks would not match any more. */
  private rejectAll(): void {
    const { rank, cause } = this.board.failure() as NonNullable<ReturnType<Board['failure']>>;
    this.isOver = true;
    this.learnOfFailure();
    for (const { of, reject } of this.calls.splice(0)) reject(rankFailed(rank, cause, of));
  }

  private publish(): void {
    let isBlocked = false;
    while (this.published < this.read + this.calls.length && this.board.failure() === undefined) {
      const call = this.calls[this.published - this.read] as Call;
      // said before looking, so that whoever makes room in between rings
      this.markBlocked(true);
      const offset = this.roomFor(call);
      isBlocked = offset === undefined;
      if (offset === undefined) break;
      for (const [begin, values] of call.gives) {
        viewLike(values, this.arena.memory, offset + begin * values.BYTES_PER_ELEMENT, values.length).set(values);
      }
      this.board.publish(this.rank, this.published++, { offset, bytes: call.bytes, of: call.of });
    }
    this.markBlocked(isBlocked);
  }

  private roomFor({ bytes }: Call): number | undefined {
    const readByAll = this.board.readByAll();
    this.arena.freeBefore(readByAll);
    return this.published - readByAll < slots ? this.arena.take(this.published, bytes) : undefined;
  }

  private markBlocked(isBlocked: boolean): void {
    if (isBlocked !== this.isBlocked) this.board.markBlocked(isBlocked);
    this.isBlocked = isBlocked;
  }

  /** Ranks that have not published the first call. */
  private missing(): number[] {
    return this.memory.arenas.flatMap((_, rank) => (this.board.published(rank) > this.read ? [] : rank));
  }

  /** Whether all ranks mean the same by the first call; where not, this rank fails. */
  private isSameOnAll(): boolean {
    const { of, awaits } = this.calls[0] as Call;
    const own = this.board.publication(this.rank, this.read);
    for (let rank = 0; rank < this.ranks; rank++) {
      const other = this.board.publication(rank, this.read);
      if (other.of === own.of && other.bytes === awaits(rank)) continue;
      const theirs = `rank ${rank} asked for ${other.of}, with ${other.bytes} bytes`;
      this.board.fail(this.rank, `it asked for ${of}, with ${awaits(rank)} bytes from rank ${rank}, where ${theirs}`);
      return false;
    }
    return true;
  }

  private reduced<Data extends Float32Array | Uint16Array>(own: Data, begin: number, reduction: Reduction): Data {
    const parts = this.memory.arenas.map((_, rank) =>
      rank === this.rank ? own : this.view(own, rank, begin, own.length),
    );
    return reduce(parts, reduction, emptyLike(own, own.length));
  }

  /** What a rank has published for the call that is read, from an element on, where it lies. */
  private view<Data extends Payload>(like: Data, rank: number, begin: number, length: number): Data {
    const { offset } = this.board.publication(rank, this.read);
    return viewLike(
      like,
      this.memory.arenas[rank] as SharedArrayBuffer,
      offset + begin * like.BYTES_PER_ELEMENT,
      length,
    );
  }
}

type PayloadType = new (memory: ArrayBufferLike, offset: number, length: number) => Payload;

function viewLike<Data extends Payload>(like: Data, memory: SharedArrayBuffer, offset: number, length: number): Data {
  return new (typeOf(like))(memory, offset, length) as Data;
}

/** Values of a kind that are yet to be set: memory that is not zeroed for it. */
function emptyLike<Data extends Payload>(like: Data, length: number): Data {
  const { buffer } = Buffer.allocUnsafeSlow(length * like.BYTES_PER_ELEMENT);
  return new (typeOf(like))(buffer, 0, length) as Data;
}

function typeOf(values: Payload): PayloadType {
  if (values instanceof Float32Array) return Float32Array;
  return values instanceof Uint16Array ? Uint16Array : Uint8Array;
}

/** How many elements lie before those of a rank. */
function before(sizes: readonly number[], rank: number): number {
  return sizes.slice(0, rank).reduce((sum, size) => sum + size, 0);
}
