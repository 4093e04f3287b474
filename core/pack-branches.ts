import type { Rows, Sequence } from './rows.ts';

/**
 * Rows that fork: row r holds the sequences `branches[0][r]`, `branches[1][r]`, ..., of which what all have in common
 * before their completions is the trunk, and may be nothing. Trunk and branches are padded on the right, to one position
 * at least. Targets are those of `packRows` over all sequences of the first branch, then of the second, ..., in that order.
 */
export function packBranches(
  branches: readonly (readonly Sequence[])[],
  options: { padId?: number; firstRow?: number } = {},
): Rows {
  const batch = branches[0]?.length ?? 0;
  const shared = Array.from({ length: batch }, (_, row) => sharedLength(branches.map((all) => all[row] as Sequence)));
  const rests = branches.flatMap((all) => all.map(({ ids }, row) => ids.length - (shared[row] as number)));
  const trunk = Math.max(1, ...shared);
  const branch = Math.max(1, ...rests);
  const time = trunk + branches.length * branch;

  const ids = new Int32Array(batch * time).fill(options.padId ?? 0);
  const mask = new Int32Array(batch * time);
  const source: number[] = [];
  const label: number[] = [];
  const row: number[] = [];
  const position: number[] = [];
  branches.forEach((sequences, index) => {
    sequences.forEach((sequence, r) => {
      const common = shared[r] as number;
      const rest = r * time + trunk + index * branch - common;
      const placeOf = (at: number) => (at < common ? r * time : rest) + at;
      const first = Math.max(1, sequence.completionStart);
      for (let at = 0; at < sequence.ids.length; at++) {
        ids[placeOf(at)] = sequence.ids[at] as number;
        mask[placeOf(at)] = 1;
        if (at < first) continue;
        source.push(placeOf(at - 1));
        label.push(sequence.ids[at] as number);
        row.push(index * batch + r);
        position.push(at - first);
      }
    });
  });
  return {
    batch,
    time,
    sequences: branches.length * batch,
    fork: { trunk, branches: branches.length, branch },
    ids,
    mask,
    targets: {
      source: Int32Array.from(source),
      label: Int32Array.from(label),
      row: Int32Array.from(row),
      position: Int32Array.from(position),
    },
    firstRow: options.firstRow ?? 0,
  };
}

/** Tokens that sequences begin with alike, before the first completion. */
function sharedLength(sequences: readonly Sequence[]): number {
  const first = (sequences[0] as Sequence).ids;
  const most = Math.min(...sequences.map(({ completionStart }) => completionStart));
  for (let at = 0; at < most; at++) if (sequences.some(({ ids }) => ids[at] !== first[at])) return at;
  return most;
}
