import { failure } from './errors.ts';

/** As much as one buffer can hold. */
const mostBytes = 2 ** 32;

/**
 * Memory that grows as it is needed, up to what one rank may have published at a time: address space is all it takes
 * before.
 */
export function createArena(maxByteLength = mostBytes): SharedArrayBuffer {
  return new SharedArrayBuffer(0, { maxByteLength });
}

interface Piece {
  readonly call: number;
  readonly offset: number;
  readonly end: number;
}

/** Hands out pieces of a rank's own arena, the lowest that fit, so that memory is used again before it grows. */
export class Arena {
  readonly memory: SharedArrayBuffer;
  private pieces: Piece[] = [];

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
  }

  /** Where there is room for what a call publishes, or undefined until more is freed. Throws COLLECTIVE_TOO_LARGE. */
  take(call: number, bytes: number): number | undefined {
    if (bytes > this.memory.maxByteLength) {
      throw failure('COLLECTIVE_TOO_LARGE', { bytes, most: this.memory.maxByteLength });
    }
    const size = Math.ceil(bytes / alignment) * alignment;
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

  /** Takes back what was published before a call. */
  freeBefore(call: number): void {
    this.pieces = this.pieces.filter((piece) => piece.call >= call);
  }
}

/** Of a cache line, so that two ranks never write to the same one. */
const alignment = 64;
