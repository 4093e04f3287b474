import { type Collectives, joined, newLike, type ParameterSpec, type ParameterStorage } from 'mooring';
import { elementsOf, lengthOf, type Partition } from '../partition.ts';

/** Numbers of a parameter laid flat: float32, or bfloat16 by its bits. */
export type Values = Float32Array | Uint16Array;

/** A parameter to gather, and what this rank has of it. */
export interface Wanted {
  readonly spec: ParameterSpec;
  readonly storage: ParameterStorage;
  readonly own: Values;
}

/** From so many elements on a parameter has a collective to itself: its values are sent and arrive as they lie, uncopied. */
export const alone = 65_536;

/**
 * Starts to gather parameters, each a promise of its whole values: large ones by themselves, small ones together in one
 * call, where float32 and bfloat16 are apart. The order of the calls follows from names, sizes and storage only.
 */
export function gatherValues(
  wanted: readonly Wanted[],
  partition: Partition,
  collectives: Collectives,
): { readonly values: readonly Promise<Values>[]; readonly calls: number } {
  const buckets = bucketsOf(wanted);
  const found = new Map<Wanted, Promise<Values>>();
  for (const bucket of buckets) {
    const gathered = gatherBucket(bucket, partition, collectives);
    for (const [index, each] of bucket.entries())
      found.set(
        each,
        gathered.then((all) => all[index] as Values),
      );
  }
  return { values: wanted.map((each) => found.get(each) as Promise<Values>), calls: buckets.length };
}

function bucketsOf(wanted: readonly Wanted[]): (readonly Wanted[])[] {
  const isLarge = ({ spec }: Wanted) => elementsOf(spec) >= alone;
  const small = wanted.filter((each) => !isLarge(each));
  const ofStorage = (storage: ParameterStorage) => small.filter((each) => each.storage === storage);
  const shared = [ofStorage('float32'), ofStorage('bfloat16')].filter((bucket) => bucket.length > 0);
  return [...wanted.filter(isLarge).map((each) => [each]), ...shared];
}

async function gatherBucket(
  bucket: readonly Wanted[],
  partition: Partition,
  collectives: Collectives,
): Promise<readonly Values[]> {
  const ranges = bucket.map(({ spec }) => partition.rangesOf(spec));
  const ofRanks = Array.from({ length: partition.ranks }, (_, rank) => ranges.map((each) => each[rank]));
  const sizes = ofRanks.map((each) => each.reduce((sum, range) => sum + (range ? lengthOf(range) : 0), 0));
  const [first, ...others] = bucket as readonly [Wanted, ...Wanted[]];
  const of = `the parameter ${first.spec.name}${others.length > 0 ? ` and ${others.length} more` : ''}`;
  if (others.length === 0) return [await collectives.allGather(first.own, sizes, of)];

  const all = await collectives.allGather(joined(bucket.map(({ own }) => own)), sizes, of);
  const wholes = bucket.map(({ spec }) => newLike(all, elementsOf(spec)));
  let at = 0;
  for (const each of ofRanks) {
    for (const [index, range] of each.entries()) {
      if (range === undefined) continue;
      wholes[index]?.set(all.subarray(at, at + lengthOf(range)), range.begin);
      at += lengthOf(range);
    }
  }
  return wholes;
}
