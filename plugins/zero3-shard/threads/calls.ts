import { causeOf, type Payload, rankFailed } from 'mooring';
import { Arena } from '../arena.ts';
import { Board, slots } from './board.ts';
import { failure } from './errors.ts';
import type { SlowRanks } from './slow-ranks.ts';
import { viewLike } from './views.ts';

/** What all ranks share: the board, and an arena for what each publishes. */
export interface SharedMemory {
  readonly board: SharedArrayBuffer;
  readonly arenas: readonly SharedArrayBuffer[];
}

/** Values of a kind where a rank gives them: `length` elements, from so many bytes after the beginning on. */
export type Place = <Data extends Payload>(like: Data, beginByte: number, length: number) => Data;

/** A collective as a rank makes it. */
export interface Given {
  /** Writes what this rank gives; called once there is room. */
  readonly write: (place: Place) => void;
  readonly bytes: number;
  /** Bytes that a rank must have published for it. */
  readonly awaits: (rank: number) => number;
  /** Makes the result; everyone's part is there. */
  readonly read: () => unknown;
}

interface Call extends Given {
  readonly of: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The calls of one rank in their order: publishes what it gives, and reads what all have published, as they come to it. */
export class Calls {
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

  /** Makes a call; resolves to what its `read` gives. Throws RANK_FAILED. */
  make<Result>(of: string, call: Given): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.calls.push({ ...call, of, resolve: resolve as Call['resolve'], reject });
      this.advance();
      if (!this.isWaiting) void this.wait();
    });
  }

  /** Says that this rank has failed. */
  abort(cause: string): void {
    this.learnOfFailure();
    this.fail(this.rank, cause);
  }

  /** Says of any rank that it failed. */
  fail(rank: number, cause: string): void {
    this.board.fail(rank, cause);
    this.advance();
  }

  /** What a rank has published for the call that is read, where it lies. */
  view<Data extends Payload>(like: Data, rank: number, beginByte: number, length: number): Data {
    const { offset } = this.board.publication(rank, this.read);
    return viewLike(like, this.memory.arenas[rank] as SharedArrayBuffer, offset + beginByte, length);
  }

  private learnOfFailure(): void {
    this.isFailureKnown = true;
    this.onFailure();
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
      call.write((like, beginByte, length) => viewLike(like, this.arena.memory, offset + beginByte, length));
      this.board.publish(this.rank, this.published++, { offset, bytes: call.bytes, of: call.of });
    }
    this.markBlocked(isBlocked);
  }

  /** Throws COLLECTIVE_TOO_LARGE for what no wait makes room for. */
  private roomFor({ bytes }: Call): number | undefined {
    const most = this.arena.memory.maxByteLength;
    if (bytes > most) throw failure('COLLECTIVE_TOO_LARGE', { bytes, most });
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
}
