import type { Rows } from '../rows.ts';
import { forkOf, type LeastShape, padRows } from './pad-rows.ts';

/** Brings rows to few shapes, so that few executables serve a whole run. */
export interface RowShapes {
  /** The same rows with more padding: of the same shape for most. Remembered for each `rows`. */
  pad(rows: Rows): Rows;
  /** How many shapes the sample has: each is compiled. */
  readonly count: number;
  /** For people: the lengths, and how much longer they make the sample. */
  readonly description: string;
}

/** Lengths that one kind of rows is padded to, each in increasing order. */
interface Lengths {
  readonly batch: number;
  readonly trunks: readonly number[];
  readonly branches: readonly number[];
  readonly targets: readonly number[];
}

/** Lengths that no sample foresaw are multiples of this. */
const roundTo = 32;

/**
 * Chooses shapes from a sample of the rows to come: few lengths of sequences, or of trunks and branches where rows fork,
 * the largest number of rows, and few counts of targets.
 */
export function chooseShapes(sample: readonly Rows[]): RowShapes {
  const kinds = new Map<number, Lengths>();
  for (const kind of new Set(sample.map(kindOf)))
    kinds.set(kind, lengthsOf(sample.filter((rows) => kindOf(rows) === kind)));
  const known = new WeakMap<Rows, Rows>();
  const pad = (rows: Rows) => {
    const padded = known.get(rows) ?? padRows(rows, shapeFor(rows, kinds.get(kindOf(rows))));
    known.set(rows, padded);
    return padded;
  };
  const padded = sample.map(pad);
  const shapes = padded.map(({ batch, time, fork, targets }) =>
    JSON.stringify([batch, time, fork, targets.label.length]),
  );
  return { pad, count: new Set(shapes).size, description: describe(kinds, sample, padded) };
}

/**
 * At most `most` lengths such that values padded to the next of them are together not much longer than they were (a
 * tenth), or as little as can be; the largest value is one of them.
 */
export function chooseLengths(values: readonly number[], most: number): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  const total = sorted.reduce((sum, value) => sum + value, 0);
  // best[n]: the n lengths that pad the first `count` values least
  let best = sorted.map((length, at) => ({ cost: length * (at + 1), lengths: [length] }));
  for (let lengths = 1; lengths < most && (best.at(-1)?.cost ?? 0) > total * 1.1; lengths++) {
    best = best.map((single, at) =>
      best.slice(0, at).reduce((least, part, before) => {
        const cost = part.cost + (sorted[at] as number) * (at - before);
        return cost < least.cost ? { cost, lengths: [...part.lengths, sorted[at] as number] } : least;
      }, single),
    );
  }
  return best.at(-1)?.lengths ?? [];
}

function shapeFor(rows: Rows, lengths: Lengths | undefined): LeastShape {
  const { trunk, branch } = forkOf(rows);
  return {
    batch: lengths?.batch,
    trunk: next(lengths?.trunks, trunk),
    branch: next(lengths?.branches, branch),
    targets: next(lengths?.targets, rows.targets.label.length),
  };
}

function lengthsOf(sample: readonly Rows[]): Lengths {
  const forks = sample.map(forkOf);
  return {
    batch: Math.max(...sample.map(({ batch }) => batch)),
    trunks: chooseLengths(
      forks.map(({ trunk }) => trunk),
      2,
    ),
    branches: chooseLengths(
      forks.map(({ branch }) => branch),
      forks[0]?.trunk === 0 ? 4 : 2,
    ),
    targets: chooseLengths(
      sample.map(({ targets }) => targets.label.length),
      2,
    ),
  };
}

/** Rows of one kind differ in lengths only: the number of branches, 0 where rows do not fork. */
function kindOf({ fork }: Rows): number {
  return fork?.branches ?? 0;
}

/** The next length; beyond the largest they grow by a quarter, so that what no sample foresaw has few shapes as well. */
function next(lengths: readonly number[] = [], length: number): number {
  const known = lengths.find((each) => each >= length);
  if (known !== undefined) return known;
  // a sample of empty lengths would grow from 0, which never reaches anything
  let reach = Math.max(lengths.at(-1) ?? 0, roundTo);
  while (reach < length) reach = Math.ceil((reach * 1.25) / roundTo) * roundTo;
  return reach;
}

function describe(kinds: ReadonlyMap<number, Lengths>, sample: readonly Rows[], padded: readonly Rows[]): string {
  const each = [...kinds].map(([branches, lengths]) =>
    branches === 0
      ? `rows to ${lengths.branches.join(', ')} tokens`
      : `prompts to ${lengths.trunks.join(', ')} and completions to ${lengths.branches.join(', ')} tokens`,
  );
  const positions = (all: readonly Rows[]) => all.reduce((sum, { batch, time }) => sum + batch * time, 0);
  const more = (100 * positions(padded)) / Math.max(1, positions(sample)) - 100;
  return `${each.join('; ')}: ${more.toFixed(0)} % more positions`;
}
