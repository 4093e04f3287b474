/** As much as one buffer can hold. */
const mostBytes = 2 ** 32;

/** Memory that grows as it is needed, up to a size of which it takes only the addresses before. It never moves. */
export function createArena(maxByteLength = mostBytes): SharedArrayBuffer {
  return new SharedArrayBuffer(0, { maxByteLength });
}

interface Piece {
  readonly call: number;
  readonly offset: number;
  readonly end: number;
}

/** Hands out pieces of such memory to the calls of a rank, the lowest that fit, so that memory is used again before it grows. */
export class Arena {
  readonly memory: SharedArrayBuffer;
  private pieces: Piece[] = [];

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
  }

  /** Where there is room for what a call carries, or undefined until more is freed. */
  take(call: number, bytes: number): number | undefined {
    const size = aligned(bytes);
    let offset = 0;
    let index = 0;
    for (const piece of this.pieces) {
      if (piece.offset - offset >= size) break;
      offset = piece.end;
      index++;
    }
    const end = offset + size;
    if (end > this.memory.maxByteLength) return undefined;
    if (end > this.memory.byteLength) this.memory.grow(end);
    if (size > 0) this.pieces.splice(index, 0, { call, offset, end });
    return offset;
  }

  /** Takes back what a call had. */
  free(call: number): void {
    this.pieces = this.pieces.filter((piece) => piece.call !== call);
  }

  /** Takes back what all calls before one had. */
  freeBefore(call: number): void {
    this.pieces = this.pieces.filter((piece) => piece.call >= call);
  }
}

/**
 * The next place for something else: at the beginning of a cache line, where TensorFlow can work without copies, and two ranks
 * never write to the same one.
 */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** Where each of several things begins that lie one after the other, and what they take together. */
export function laidOut(sizes: readonly number[]): { readonly begins: readonly number[]; readonly bytes: number } {
  let bytes = 0;
  const begins = sizes.map((size) => {
    bytes += size;
    return bytes - size;
  });
  return { begins, bytes };
}
