/** What a rank has published for one of its calls: where in its arena, how much, and what the call is for. */
export interface Publication {
  readonly offset: number;
  readonly bytes: number;
  readonly of: string;
}

/** How many calls of a rank may be published and not yet read by all. */
export const slots = 64;

const slotBytes = 256;
const slotText = 24;
const causeBytes = 2048;

/** Words of the head: the bell, how many ranks wait for room, which rank failed (from 1), and whether its cause is written. */
const [bell, blocked, failed, causeLength] = [0, 1, 2, 3];
const headWords = 4;

/** Memory for a board of so many ranks. */
export function createBoard(ranks: number): SharedArrayBuffer {
  const words = 4 * (headWords + 2 * ranks);
  return new SharedArrayBuffer(Math.ceil(words / 8) * 8 + causeBytes + ranks * slots * slotBytes);
}

/**
 * Where ranks tell each other how far they are: what each has published, up to which call it has read, and which failed.
 * Whoever changes something rings a bell; who waits, waits for it.
 */
export class Board {
  private readonly memory: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly ranks: number;
  private readonly causeAt: number;

  constructor(memory: SharedArrayBuffer, ranks: number) {
    this.memory = memory;
    this.ranks = ranks;
    this.words = new Int32Array(memory, 0, headWords + 2 * ranks);
    this.causeAt = Math.ceil(this.words.byteLength / 8) * 8;
  }

  /** How many calls a rank has published. */
  published(rank: number): number {
    return Atomics.load(this.words, headWords + rank);
  }

  /** A published call, unless all have read it since. */
  publication(rank: number, call: number): Publication {
    const { numbers, text } = this.slot(rank, call);
    const [offset = 0, bytes = 0, length = 0] = numbers;
    return { offset, bytes, of: text.toString('utf8', 0, length) };
  }

  publish(rank: number, call: number, { offset, bytes, of }: Publication): void {
    const { numbers, text } = this.slot(rank, call);
    numbers.set([offset, bytes, text.write(of)]);
    Atomics.store(this.words, headWords + rank, call + 1);
    this.ring();
  }

  /** The number of calls that every rank has read. */
  readByAll(): number {
    let least = Number.POSITIVE_INFINITY;
    for (let rank = 0; rank < this.ranks; rank++) {
      least = Math.min(least, Atomics.load(this.words, headWords + this.ranks + rank));
    }
    return least;
  }

  markRead(rank: number, calls: number): void {
    Atomics.store(this.words, headWords + this.ranks + rank, calls);
    // only who waits for room cares
    if (Atomics.load(this.words, blocked) > 0) this.ring();
  }

  /** Says that a rank waits until others have read, or does no longer. */
  markBlocked(isBlocked: boolean): void {
    Atomics.add(this.words, blocked, isBlocked ? 1 : -1);
  }

  /** Says that a rank failed; the first stays. */
  fail(rank: number, cause: string): void {
    if (Atomics.compareExchange(this.words, failed, 0, rank + 1) !== 0) return;
    const length = Buffer.from(this.memory, this.causeAt, causeBytes).write(cause || 'no reason given');
    Atomics.store(this.words, causeLength, length);
    this.ring();
  }

  failure(): { readonly rank: number; readonly cause: string } | undefined {
    const length = Atomics.load(this.words, causeLength);
    if (length === 0) return undefined;
    const cause = Buffer.from(this.memory, this.causeAt, length).toString();
    return { rank: Atomics.load(this.words, failed) - 1, cause };
  }

  /** How often the bell has rung. Taken before looking at the board, so that no ring in between is missed. */
  rings(): number {
    return Atomics.load(this.words, bell);
  }

  /** Waits, while the event loop goes on, until the bell has rung more often than that. */
  async nextRing(rings: number): Promise<void> {
    const waiting = Atomics.waitAsync(this.words, bell, rings);
    if (waiting.async) await waiting.value;
  }

  private ring(): void {
    Atomics.add(this.words, bell, 1);
    Atomics.notify(this.words, bell);
  }

  private slot(rank: number, call: number): { numbers: Float64Array; text: Buffer } {
    const at = this.causeAt + causeBytes + (rank * slots + (call % slots)) * slotBytes;
    return {
      numbers: new Float64Array(this.memory, at, 3),
      text: Buffer.from(this.memory, at + slotText, slotBytes - slotText),
    };
  }
}
