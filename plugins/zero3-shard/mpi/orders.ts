/** What a collective moves. Addresses are of memory that this process keeps in place until it is told that it is done. */
export type Transfer =
  | {
      /** `sizes[rank]` bytes of every rank, one after the other: each has its own in place, and gets the others'. */
      readonly kind: 'gather';
      readonly address: bigint;
      readonly sizes: readonly number[];
    }
  | {
      /** Of the bytes at `send`, `sizes[rank]` go to each rank in turn; what every rank has for this one comes as `piecesOf` says. */
      readonly kind: 'exchange';
      readonly send: bigint;
      readonly receive: bigint;
      readonly sizes: readonly number[];
    }
  | { readonly kind: 'broadcast'; readonly address: bigint; readonly bytes: number; readonly root: number }
  | { readonly kind: 'barrier' };

/** What the main thread asks of the thread that talks to MPI. */
export type Order =
  | {
      readonly kind: 'collective';
      readonly id: number;
      /** What it is for, in the words of who asked. */
      readonly of: string;
      readonly transfer: Transfer;
      /** 1 for what follows from an earlier collective: it has an order of its own. */
      readonly channel: 0 | 1;
    }
  | { readonly kind: 'abort'; readonly cause: string }
  | { readonly kind: 'finish'; readonly code: number };

/** An error as plain data: the thread that talks to MPI loads nothing of the core, whose engine is large. */
export interface Flaw {
  readonly code: 'MPI_FAILED' | 'MPI_LIBRARY_MISSING' | 'MPI_WORLD_DIFFERS' | 'RANK_FAILED';
  readonly details: Readonly<Record<string, string | number>>;
}

/** What that thread says. */
export type Reply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly flaw: Flaw }
  /** It never came up. */
  | { readonly kind: 'broken'; readonly flaw: Flaw }
  | { readonly kind: 'slow'; readonly of: string; readonly seconds: number; readonly missing: readonly number[] };
