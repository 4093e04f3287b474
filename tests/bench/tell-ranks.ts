import type { Collectives } from 'mooring';

/** Figures of a rank, by name: every rank has the same names. */
export type RankFigures = Readonly<Record<string, number>>;

/** The figures of every rank, in their order, on each of them. */
export async function tellRanks(collectives: Collectives, own: RankFigures): Promise<RankFigures[]> {
  const names = Object.keys(own).sort();
  const values = Float64Array.from(names, (name) => own[name] ?? 0);
  const sizes = Array.from({ length: collectives.ranks }, () => values.byteLength);
  const bytes = await collectives.allGather(new Uint8Array(values.buffer), sizes, 'the figures of a measurement');
  const all = new Float64Array(bytes.slice().buffer);
  return sizes.map((_, rank) =>
    Object.fromEntries(names.map((name, at) => [name, all[rank * names.length + at] ?? 0])),
  );
}
