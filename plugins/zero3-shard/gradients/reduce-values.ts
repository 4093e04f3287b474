import type { Collectives, ParameterSpec, Range } from 'mooring';
import { joined } from '../gather/gather-values.ts';
import { elementsOf, lengthOf, type Partition } from '../partition.ts';

/** What of a parameter goes into one bucket: a range of each rank's elements. */
interface Piece {
  readonly parameter: number;
  readonly ranges: readonly Range[];
}

/**
 * The sums over all ranks of whole gradients, of which each rank gets its part, and of those that are whole everywhere all
 * of it: in buckets of at most `limit` elements. Throws RANK_FAILED.
 */
export async function reduceValues(
  specs: readonly ParameterSpec[],
  values: readonly Float32Array[],
  options: { readonly partition: Partition; readonly collectives: Collectives; readonly limit: number },
): Promise<readonly Float32Array[]> {
  const { partition, collectives, limit } = options;
  if (partition.ranks === 1) return values;
  const isWhole = (parameter: number) => partition.isWhole(specs[parameter] as ParameterSpec);
  const all = specs.map((spec, parameter) => ({
    parameter,
    ranges: isWhole(parameter) ? [{ begin: 0, end: elementsOf(spec) }] : partition.rangesOf(spec),
  }));
  const results: Float32Array[] = specs.map(() => new Float32Array());
  const own = { split: collectives.rank, whole: 0 };
  for (const kind of ['split', 'whole'] as const) {
    const pieces = all.filter(({ parameter }) => isWhole(parameter) === (kind === 'whole'));
    for (const bucket of bucketsOf(pieces, limit)) {
      const sizes = sizesOf(bucket);
      const sent = laidOut(bucket, values);
      const of = `the gradient of ${specs[bucket[0]?.parameter ?? 0]?.name} and ${bucket.length - 1} more`;
      const sums =
        kind === 'split'
          ? await collectives.reduceScatter(sent, sizes, 'sum', of)
          : await collectives.allReduce(sent, 'sum', of);
      let at = 0;
      for (const { parameter, ranges } of bucket) {
        const part = sums.subarray(at, at + lengthOf(ranges[own[kind]] as Range));
        const before = results[parameter] as Float32Array;
        results[parameter] = before.length === 0 ? part : joined([before, part]);
        at += part.length;
      }
    }
  }
  return results;
}

/** One parameter after the other while they fit; one that is too large by itself in several parts of every range. */
function bucketsOf(pieces: readonly Piece[], limit: number): Piece[][] {
  const buckets: Piece[][] = [];
  let room = 0;
  for (const piece of pieces.flatMap((piece) => cut(piece, limit))) {
    const size = sizeOf(piece);
    if (size > room) {
      buckets.push([]);
      room = limit;
    }
    buckets.at(-1)?.push(piece);
    room -= size;
  }
  return buckets;
}

function cut({ parameter, ranges }: Piece, limit: number): Piece[] {
  const parts = Math.ceil(sizeOf({ parameter, ranges }) / limit);
  return Array.from({ length: parts }, (_, part) => ({
    parameter,
    ranges: ranges.map(({ begin, end }) => ({
      begin: begin + Math.floor(((end - begin) * part) / parts),
      end: begin + Math.floor(((end - begin) * (part + 1)) / parts),
    })),
  }));
}

/** What goes to each rank, rank after rank; a gradient that is alone lies so already. */
function laidOut(bucket: readonly Piece[], values: readonly Float32Array[]): Float32Array {
  const [first] = bucket;
  const alone = values[first?.parameter ?? 0] as Float32Array;
  if (bucket.length === 1 && first && sizeOf(first) === alone.length) return alone;
  const ranks = first?.ranges.length ?? 0;
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
