import type { Fork, Rows, Targets } from '../rows.ts';

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
    const padded = known.get(rows) ?? padRows(rows, kinds.get(kindOf(rows)));
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

/** Rows with longer trunks and branches, more rows and more targets, none of which is read. */
function padRows(rows: Rows, lengths: Lengths | undefined): Rows {
  const from = forkOf(rows);
  const trunk = from.trunk === 0 ? 0 : next(lengths?.trunks, from.trunk);
  const to = { ...from, trunk, branch: next(lengths?.branches, from.branch) };
  const time = to.trunk + to.branches * to.branch;
  const batch = Math.max(rows.batch, lengths?.batch ?? 0);
  const place = (at: number) => {
    const inRow = at % rows.time;
    const begin = Math.floor(at / rows.time) * time;
    if (inRow < from.trunk) return begin + inRow;
    const inBranches = inRow - from.trunk;
    return begin + to.trunk + Math.floor(inBranches / from.branch) * to.branch + (inBranches % from.branch);
  };
  const ids = new Int32Array(batch * time);
  const mask = new Int32Array(batch * time);
  rows.ids.forEach((id, at) => {
    ids[place(at)] = id;
    mask[place(at)] = rows.mask[at] as number;
  });
  // added rows are as long as the first: without tokens they would have padding before branches, with all they could be too long
  for (let row = rows.batch; row < batch; row++) mask.copyWithin(row * time, 0, time);
  const targets = padTargets(rows.targets, next(lengths?.targets, rows.targets.label.length), place);
  const fork = rows.fork === undefined ? undefined : to;
  return { ...rows, batch, time, fork, ids, mask, targets };
}

function padTargets({ source, label, row, position }: Targets, count: number, place: (at: number) => number): Targets {
  const longer = (values: Int32Array) => {
    const all = new Int32Array(count);
    all.set(values);
    return all;
  };
  return { source: longer(source.map(place)), label: longer(label), row: longer(row), position: longer(position) };
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

function forkOf({ fork, time }: Rows): Fork {
  return fork ?? { trunk: 0, branches: 1, branch: time };
}

/** The next length; beyond the largest they grow by a quarter, so that what no sample foresaw has few shapes as well. */
function next(lengths: readonly number[] = [], length: number): number {
  const known = lengths.find((each) => each >= length);
  if (known !== undefined) return known;
  let reach = lengths.at(-1) ?? roundTo;
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
