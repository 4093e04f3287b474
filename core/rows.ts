/** A token sequence whose tokens from `completionStart` on are scored; the ones before are context. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  readonly completionStart: number;
}

/** The tokens of a pass that are scored, packed: one entry for each, padding has none. */
export interface Targets {
  /** Flat index `row * time + position` of the hidden state that predicts the token. Int32, `[tokens]`. */
  readonly source: Int32Array;
  /** The token that should come next. Int32, `[tokens]`. */
  readonly label: Int32Array;
  /** The sequence that the token belongs to: its row, but where rows fork. Int32, `[tokens]`. */
  readonly row: Int32Array;
  /** Its place in the sequence's completion, from 0. Int32, `[tokens]`. */
  readonly position: Int32Array;
}

/**
 * How rows hold several sequences that begin alike: `trunk` positions of what they share, then `branches` times `branch`
 * positions of what each adds, so that `time` is `trunk + branches * branch`. A token of a branch attends to the trunk and
 * to its own branch, and its position counts the real tokens there before it. The padding of a trunk may be on either
 * side, that of a branch comes after its tokens.
 */
export interface Fork {
  readonly trunk: number;
  readonly branches: number;
  readonly branch: number;
}

/** Token rows padded to one length: plain arrays that any engine reads, not tensors. */
export interface Rows {
  readonly batch: number;
  readonly time: number;
  /** How many sequences `targets.row` numbers: `batch`, and where rows fork the first branch of every row, then the second, ... */
  readonly sequences: number;
  /** Absent where every row is one sequence. */
  readonly fork?: Fork | undefined;
  /** `[batch, time]` */
  readonly ids: Int32Array;
  /** 1 where a token is real, 0 where it is padding. `[batch, time]` */
  readonly mask: Int32Array;
  readonly targets: Targets;
  /** Index of the first row over all batches of the run: dropout is drawn by it, whatever the batch size and rank. */
  readonly firstRow: number;
}

/** Pads sequences on the right to the longest of them. Their first token is never a target: nothing predicts it. */
export function packRows(sequences: readonly Sequence[], options: { padId?: number; firstRow?: number } = {}): Rows {
  const time = Math.max(1, ...sequences.map((sequence) => sequence.ids.length));
  const ids = new Int32Array(sequences.length * time).fill(options.padId ?? 0);
  const mask = new Int32Array(ids.length);
  const scored = new Int32Array(ids.length);
  sequences.forEach((sequence, row) => {
    ids.set(Array.from(sequence.ids), row * time);
    mask.fill(1, row * time, row * time + sequence.ids.length);
    scored.fill(1, row * time + sequence.completionStart, row * time + sequence.ids.length);
  });
  return rowsOf({
    batch: sequences.length,
    time,
    ids,
    mask,
    scored,
    firstRow: options.firstRow ?? 0,
  });
}

/**
 * Rows from padded ids and their mask, padding on either side.
 * `scored` marks the tokens to score (default: every real token); a row's first real token is left out.
 */
export function rowsOf(input: {
  batch: number;
  time: number;
  ids: Int32Array;
  mask: Int32Array;
  scored?: Int32Array;
  firstRow?: number;
}): Rows {
  const { batch, time, ids, mask, scored = mask } = input;
  const source: number[] = [];
  const row: number[] = [];
  const position: number[] = [];
  for (let r = 0; r < batch; r++) {
    let place = 0;
    for (let at = r * time + 1; at < (r + 1) * time; at++) {
      if (scored[at] !== 1 || mask[at] !== 1 || mask[at - 1] !== 1) continue;
      source.push(at - 1);
      row.push(r);
      position.push(place++);
    }
  }
  const targets: Targets = {
    source: Int32Array.from(source),
    label: Int32Array.from(source, (at) => ids[at + 1] as number),
    row: Int32Array.from(row),
    position: Int32Array.from(position),
  };
  return { batch, time, sequences: batch, ids, mask, targets, firstRow: input.firstRow ?? 0 };
}

/** Real tokens of all sequences: those of a trunk count once for each branch. */
export function countTokens({ mask, time, fork }: Rows): number {
  const { trunk, branches } = fork ?? { trunk: 0, branches: 1 };
  return mask.reduce((sum, real, at) => sum + (at % time < trunk ? branches * real : real), 0);
}

/**
 * Rows `first` to `last`, exclusive, with the targets that they predict; `members` says which of all targets those are.
 * `sequences`, and the numbers of `targets.row`, stay those of all rows.
 */
export function sliceRows(rows: Rows, first: number, last: number): { part: Rows; members: Int32Array } {
  const { time, ids, mask, targets } = rows;
  const [begin, end] = [first * time, last * time];
  const isIn = (token: number) => (targets.source[token] as number) >= begin && (targets.source[token] as number) < end;
  const members = Int32Array.from(targets.source.keys()).filter(isIn);
  const of = (values: Int32Array) => members.map((token) => values[token] as number);
  const part: Rows = {
    ...rows,
    batch: last - first,
    ids: ids.subarray(begin, end),
    mask: mask.subarray(begin, end),
    targets: {
      source: of(targets.source).map((at) => at - begin),
      label: of(targets.label),
      row: of(targets.row),
      position: of(targets.position),
    },
    firstRow: rows.firstRow + first,
  };
  return { part, members };
}
