import type { DirectCollectives } from './direct.ts';

/** What a collective carries: float32 numbers, bfloat16 numbers in their upper halves, or bytes. */
export type Payload = Float32Array | Uint16Array | Uint8Array;

/** How values of several ranks become one. */
export type Reduction = 'sum' | 'mean' | 'max';

/** A part of a flat list of elements: from `begin` on, up to `end`, which is not in it. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

/** A part of each parameter, by its name. */
export type Ranges = (parameter: string) => Range;

/**
 * What ranks do together. Every rank calls the same collectives in the same order, several may be in progress, and each
 * says with `of` what it is for: a rank that waits names it. Reductions add in the order of the ranks, in float32, so
 * that every provider gives the same bits. Each throws RANK_FAILED once another rank has failed.
 */
export interface Collectives {
  /** Which rank this is, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly ranks: number;
  /** `alone`, `threads`, `mpi`, ... */
  readonly transport: string;
  /** What every rank has, one after the other, `sizes[rank]` elements of each. `own` may be changed when it resolves. */
  allGather<Data extends Payload>(own: Data, sizes: readonly number[], of: string): Promise<Data>;
  /**
   * The reduction of every rank's `values`, of which this rank gets its part: `sizes[rank]` elements after those of the
   * ranks before it. A Uint16Array holds bfloat16: it is added in float32 and rounded once.
   */
  reduceScatter<Data extends Float32Array | Uint16Array>(
    values: Data,
    sizes: readonly number[],
    reduction: Reduction,
    of: string,
  ): Promise<Data>;
  /** The reduction of every rank's `values`, the same on all. */
  allReduce<Data extends Float32Array | Uint16Array>(values: Data, reduction: Reduction, of: string): Promise<Data>;
  /** What `root` has, on all. The others' `values` say type and size only. */
  broadcast<Data extends Payload>(values: Data, root: number, of: string): Promise<Data>;
  /** For values that are not in JavaScript's memory, where a provider can do without copies. */
  readonly direct?: DirectCollectives;
  /** Waits until all are here. */
  barrier(of: string): Promise<void>;
  /** Tells all other ranks that this one failed, and why: what they wait for, or ask for later, throws RANK_FAILED. */
  abort(cause: string): void;
}

/** The collectives of a rank that is alone. */
export const alone: Collectives = {
  rank: 0,
  ranks: 1,
  transport: 'alone',
  allGather: async (own) => own.slice() as typeof own,
  reduceScatter: async (values) => values.slice() as typeof values,
  allReduce: async (values) => values.slice() as typeof values,
  broadcast: async (values) => values.slice() as typeof values,
  barrier: async () => undefined,
  abort: () => undefined,
};

/** The part of `elements` that a rank holds: as equal as can be, and even, so that pairs of bfloat16 stay together. */
export function rangeOf(elements: number, rank: number, ranks: number): Range {
  const pairs = Math.ceil(elements / 2);
  const boundary = (of: number) => Math.min(elements, 2 * Math.floor((pairs * of) / ranks));
  return { begin: boundary(rank), end: rank === ranks - 1 ? elements : boundary(rank + 1) };
}
