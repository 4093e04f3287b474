import { type Range, type Rows, sliceRows } from 'mooring';

/** What one rank runs of the rows of a pass, and where its targets are among all. */
export interface SplitRows {
  /** The rows of this rank; where it has none the first one stands in, so that every rank runs every block. */
  readonly part: Rows;
  /** Which of all targets those of `part` are. */
  readonly targets: Int32Array;
  /** Whether `part` only stands in: another rank answers for its targets. */
  readonly isStandIn: boolean;
  /** How many targets each rank answers for. */
  readonly counts: readonly number[];
  /** All targets in the order of the ranks that answer for them: rows that fork number theirs branch by branch. */
  readonly order: Int32Array;
}

/** Splits rows among ranks, each of which gets some that stand together, as many as the others or one less. */
export function splitRows(rows: Rows, rank: number, ranks: number): SplitRows {
  const own = rowsOfRank(rows.batch, rank, ranks);
  const isStandIn = own.begin === own.end;
  const { begin, end } = isStandIn ? { begin: 0, end: Math.min(1, rows.batch) } : own;
  const { part, members: targets } = sliceRows(rows, begin, end);
  const ofRanks = Array.from({ length: ranks }, (_, each) => targetsIn(rows, rowsOfRank(rows.batch, each, ranks)));
  return {
    part,
    targets,
    isStandIn,
    counts: ofRanks.map(({ length }) => length),
    order: Int32Array.from(ofRanks.flat()),
  };
}

/** The rows of a rank, from `begin` on, up to `end`, which is not among them; none where there are fewer rows than ranks. */
export function rowsOfRank(batch: number, rank: number, ranks: number): Range {
  return { begin: Math.floor((rank * batch) / ranks), end: Math.floor(((rank + 1) * batch) / ranks) };
}

function targetsIn({ time, targets }: Rows, { begin, end }: Range): number[] {
  const rowOf = (target: number) => Math.floor((targets.source[target] as number) / time);
  return [...targets.source.keys()].filter((target) => rowOf(target) >= begin && rowOf(target) < end);
}
