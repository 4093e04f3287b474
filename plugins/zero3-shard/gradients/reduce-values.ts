import { type Collectives, joined, type ParameterSpec, type Range } from 'mooring';
import { elementsOf, lengthOf, type Partition } from '../partition.ts';
import { cut } from './cut.ts';

/** What of a parameter goes into one bucket: a range of each rank's elements. */
interface Piece {
  readonly parameter: number;
  readonly ranges: readonly Range[];
}

/**
 * The sums over all ranks of whole gradients, of which each rank gets its part, and of those that are whole everywhere all
 * of it: one after the other in collectives of at most `limit` elements. All of it is begun before anything is waited for,
 * so that what a caller begins next comes after it on every rank. Throws RANK_FAILED.
 */
export async function reduceValues(
  specs: readonly ParameterSpec[],
  values: readonly Float32Array[],
  options: { readonly partition: Partition; readonly collectives: Collectives; readonly limit: number },
): Promise<readonly Float32Array[]> {
  const { partition, collectives, limit } = options;
  const isWhole = (parameter: number) => partition.isWhole(specs[parameter] as ParameterSpec);
  const all = specs.map((spec, parameter) => ({
    parameter,
    ranges: isWhole(parameter) ? [{ begin: 0, end: elementsOf(spec) }] : partition.rangesOf(spec),
  }));
  const split = bucketsOf(
    all.filter(({ parameter }) => !isWhole(parameter)),
    limit,
  );
  const whole = bucketsOf(
    all.filter(({ parameter }) => isWhole(parameter)),
    limit,
  );
  const nameOf = (bucket: readonly Piece[]) => {
    const more = bucket.length > 1 ? ` and ${bucket.length - 1} more` : '';
    return `the gradient of ${specs[bucket[0]?.parameter ?? 0]?.name}${more}`;
  };
  const sums = await Promise.all([
    ...split.map((bucket) =>
      collectives.reduceScatter(laidOut(bucket, values), sizesOf(bucket), 'sum', nameOf(bucket)),
    ),
    ...whole.map((bucket) => collectives.allReduce(laidOut(bucket, values), 'sum', nameOf(bucket))),
  ]);
  const results: Float32Array[] = specs.map(() => new Float32Array());
  for (const [index, bucket] of [...split, ...whole].entries()) {
    let at = 0;
    for (const { parameter, ranges } of bucket) {
      const own = ranges[isWhole(parameter) ? 0 : collectives.rank] as Range;
      const part = (sums[index] as Float32Array).subarray(at, at + lengthOf(own));
      const before = results[parameter] as Float32Array;
      results[parameter] = before.length === 0 ? part : joined([before, part]);
      at += part.length;
    }
  }
  return results;
}

/** One after the other while they fit. */
function bucketsOf(pieces: readonly Piece[], limit: number): Piece[][] {
  const buckets: Piece[][] = [];
  let room = 0;
  for (const { parameter, ranges } of pieces) {
    for (const piece of cut(ranges, limit).map((part) => ({ parameter, ranges: part }))) {
      const size = sizeOf(piece);
      if (size > room) {
        buckets.push([]);
        room = limit;
      }
      buckets.at(-1)?.push(piece);
      room -= size;
    }
  }
  return buckets;
}

/** What goes to each rank, rank after rank. */
function laidOut(bucket: readonly Piece[], values: readonly Float32Array[]): Float32Array {
  const ranks = bucket[0]?.ranges.length ?? 0;
  const parts = Array.from({ length: ranks }, (_, rank) =>
    bucket.map(({ parameter, ranges }) => {
      const { begin, end } = ranges[rank] as Range;
      return (values[parameter] as Float32Array).subarray(begin, end);
    }),
  );
  return joined(parts.flat());
}

function sizesOf(bucket: readonly Piece[]): number[] {
  const ranks = bucket[0]?.ranges.length ?? 0;
  return Array.from({ length: ranks }, (_, rank) =>
    bucket.reduce((sum, { ranges }) => sum + lengthOf(ranges[rank] as Range), 0),
  );
}

function sizeOf({ ranges }: Piece): number {
  return ranges.reduce((sum, range) => sum + lengthOf(range), 0);
}
