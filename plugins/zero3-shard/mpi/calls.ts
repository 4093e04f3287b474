import type { Transfer } from './orders.ts';

/** A call of MPI, its counts in bytes. */
export type MpiCall =
  | {
      readonly name: 'MPI_Iallgatherv';
      readonly address: bigint;
      readonly counts: Int32Array;
      readonly displacements: Int32Array;
    }
  | {
      readonly name: 'MPI_Ialltoallv';
      readonly send: bigint;
      readonly sendCounts: Int32Array;
      readonly sendDisplacements: Int32Array;
      readonly receive: bigint;
      readonly receiveCounts: Int32Array;
      readonly receiveDisplacements: Int32Array;
    }
  | { readonly name: 'MPI_Ibcast'; readonly address: bigint; readonly bytes: number; readonly root: number }
  | {
      readonly name: 'MPI_Igather';
      readonly send: bigint;
      readonly receive: bigint;
      readonly bytes: number;
      readonly root: number;
    }
  | { readonly name: 'MPI_Ibarrier' };

/** MPI counts and places in C's `int`. */
export const mostBytes = 2 ** 31 - 1;

/**
 * The calls that make up a transfer, as every rank makes them, all at once and in this order. What MPI can count is one
 * call. What it cannot (`limit`) is split: a gather into broadcasts from every rank, an exchange into gathers to every rank,
 * since these need no places inside a buffer, only where it begins.
 */
export function callsOf(transfer: Transfer, rank: number, limit = mostBytes): MpiCall[] {
  switch (transfer.kind) {
    case 'barrier':
      return [{ name: 'MPI_Ibarrier' }];
    case 'broadcast':
      return broadcasts(transfer.address, transfer.bytes, transfer.root, limit);
    case 'gather':
      return gatherCalls(transfer, limit);
    case 'exchange':
      return exchangeCalls(transfer, rank, limit);
  }
}

/** A part of what a rank gets in an exchange: `bytes` from each rank, one after the other, from `at` on. */
export interface Piece {
  /** Where it begins in the part of each rank. */
  readonly begin: number;
  readonly bytes: number;
  readonly at: number;
}

/** How what a rank gets in an exchange lies in its memory: as one piece, unless that is more than MPI counts. */
export function piecesOf(sizes: readonly number[], rank: number, limit = mostBytes): Piece[] {
  const bytes = sizes[rank] ?? 0;
  // numbers of two or four bytes stay whole
  const most = isCountable(sizes, limit) ? bytes : Math.max(4, 4 * Math.floor(limit / sizes.length / 4));
  return split(bytes, most).map((piece) => ({ ...piece, at: piece.begin * sizes.length }));
}

function gatherCalls({ address, sizes }: Transfer & { kind: 'gather' }, limit: number): MpiCall[] {
  const displacements = offsets(sizes);
  if (sum(sizes) > limit)
    return sizes.flatMap((bytes, root) => broadcasts(address + BigInt(displacements[root] ?? 0), bytes, root, limit));
  return [
    { name: 'MPI_Iallgatherv', address, counts: Int32Array.from(sizes), displacements: Int32Array.from(displacements) },
  ];
}

function exchangeCalls(
  { send, receive, sizes }: Transfer & { kind: 'exchange' },
  rank: number,
  limit: number,
): MpiCall[] {
  const begins = offsets(sizes);
  if (!isCountable(sizes, limit))
    return sizes.flatMap((_, root) =>
      piecesOf(sizes, root, limit).map(({ begin, bytes, at }) => ({
        name: 'MPI_Igather' as const,
        send: send + BigInt((begins[root] ?? 0) + begin),
        receive: rank === root ? receive + BigInt(at) : 0n,
        bytes,
        root,
      })),
    );
  const own = sizes.map(() => sizes[rank] ?? 0);
  return [
    {
      name: 'MPI_Ialltoallv',
      send,
      sendCounts: Int32Array.from(sizes),
      sendDisplacements: Int32Array.from(begins),
      receive,
      receiveCounts: Int32Array.from(own),
      receiveDisplacements: Int32Array.from(offsets(own)),
    },
  ];
}

function broadcasts(address: bigint, bytes: number, root: number, limit: number): MpiCall[] {
  return split(bytes, limit).map((piece) => ({
    name: 'MPI_Ibcast',
    address: address + BigInt(piece.begin),
    bytes: piece.bytes,
    root,
  }));
}

/** Whether MPI can count both what each rank sends and what each gets: all ranks must find the same. */
export function isCountable(sizes: readonly number[], limit: number): boolean {
  return sum(sizes) <= limit && sizes.length * Math.max(...sizes) <= limit;
}

function split(bytes: number, most: number): { begin: number; bytes: number }[] {
  const count = Math.ceil(bytes / Math.max(1, most));
  return Array.from({ length: count }, (_, index) => {
    const begin = index * most;
    return { begin, bytes: Math.min(most, bytes - begin) };
  });
}

function offsets(sizes: readonly number[]): number[] {
  return sizes.map((_, index) => sum(sizes.slice(0, index)));
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}
