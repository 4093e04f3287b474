import type { Range } from 'mooring';
import { lengthOf } from '../partition.ts';

/** Ranges of ranks that have more than `limit` elements together in several pieces, each a part of every range. */
export function cut(ranges: readonly Range[], limit: number): Range[][] {
  const pieces = Math.ceil(ranges.reduce((sum, range) => sum + lengthOf(range), 0) / limit);
  return Array.from({ length: pieces }, (_, piece) =>
    ranges.map(({ begin, end }) => ({
      begin: begin + Math.floor(((end - begin) * piece) / pieces),
      end: begin + Math.floor(((end - begin) * (piece + 1)) / pieces),
    })),
  );
}
