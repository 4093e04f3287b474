import { createHash } from 'node:crypto';
import type { Rows } from 'mooring';

/** One sequence of some rows, apart from how it is padded, batched, or shares its prompt. */
export interface ScoredSequence {
  /** SHA-256 of its tokens and of which are scored, in hexadecimal. */
  readonly digest: string;
  /** Which of the rows' targets are its own, in the order of its values. */
  readonly members: readonly number[];
}

/** The sequences of rows that have tokens to score. */
export function scoredSequences(rows: Rows): ScoredSequence[] {
  const members = new Map<number, number[]>();
  rows.targets.row.forEach((sequence, target) => {
    const known = members.get(sequence);
    if (known === undefined) members.set(sequence, [target]);
    else known.push(target);
  });
  return [...members].map(([sequence, own]) => ({ digest: digestOf(rows, sequence, own), members: own }));
}

function digestOf(rows: Rows, sequence: number, members: readonly number[]): string {
  const { ids, targets } = rows;
  const places = placesOf(rows, sequence, targets.source[members[0] as number] as number);
  const order = new Map(places.map((place, index) => [place, index]));
  const content = Int32Array.from([
    places.length,
    ...places.map((place) => ids[place] as number),
    ...members.flatMap((target) => [
      order.get(targets.source[target] as number) as number,
      targets.label[target] as number,
    ]),
  ]);
  return createHash('sha256').update(content).digest('hex');
}

/** Where the real tokens of a sequence lie, in their order: a trunk's before those of its branch. */
function placesOf({ time, fork, sequences, mask }: Rows, sequence: number, source: number): number[] {
  const begin = source - (source % time);
  const spans: (readonly [first: number, last: number])[] = [];
  if (fork === undefined) spans.push([0, time]);
  else {
    // rows that were cut from others still number the sequences of all
    const branch = Math.floor(sequence / (sequences / fork.branches));
    const first = fork.trunk + branch * fork.branch;
    spans.push([0, fork.trunk], [first, first + fork.branch]);
  }
  const places: number[] = [];
  for (const [first, last] of spans)
    for (let at = begin + first; at < begin + last; at++) if (mask[at] === 1) places.push(at);
  return places;
}
