import type { DropoutKey } from './model.ts';
import { xoshiro } from './random.ts';

/** Where a mask applies: the first of its rows over the whole run, the block, and the site within the block. */
export interface DropoutPlace {
  readonly firstRow: number;
  readonly layer: number;
  readonly site: number;
}

/**
 * A dropout mask of shape `[rows, ..., width]`: 0 with probability `rate`, else `1 / (1 - rate)`. A value depends on
 * key, place and its own index alone, not on the other sizes, so splitting or padding a batch changes no value.
 * At most two axes stand between rows and width (as `[rows, heads, time, time]`), of at most 65,536 each.
 * The last axis is a xoshiro128++ stream, whose state is Philox's value for all that stands before it.
 */
export function dropoutMask(
  key: DropoutKey,
  place: DropoutPlace,
  shape: readonly number[],
  rate: number,
): Float32Array {
  const [rows = 1, ...inner] = shape;
  const width = inner.pop() ?? 1;
  const [outer, middle] = inner.length > 1 ? [inner[0] as number, inner[1] as number] : [1, inner[0] ?? 1];
  const mask = new Float32Array(rows * outer * middle * width);
  const threshold = rate * 2 ** 32;
  const kept = 1 / (1 - rate);
  const site = place.layer * 256 + place.site;
  const state = new Int32Array(4);
  const numbers = new Uint32Array(width);
  let start = 0;
  for (let row = 0; row < rows; row++) {
    for (let line = 0; line < outer * middle; line++) {
      const lineIndex = Math.floor(line / middle) * 65536 + (line % middle);
      state.set(philox([place.firstRow + row, lineIndex, site, key.step], [key.seed, Math.floor(key.seed / 2 ** 32)]));
      xoshiro(state, numbers);
      for (let at = 0; at < width; at++) mask[start + at] = (numbers[at] as number) < threshold ? 0 : kept;
      start += width;
    }
  }
  return mask;
}

type Words = readonly [number, number, number, number];

/**
 * Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011): a function of a
 * counter of four 32-bit words under a key of two.
 */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [a, b, c, d] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiply(0xd2511f53, a);
    const [high1, low1] = multiply(0xcd9e8d57, c);
    [a, b, c, d] = [(high1 ^ b ^ k0) >>> 0, low1, (high0 ^ d ^ k1) >>> 0, low0];
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

/** The two halves of a 64-bit product; each part stays below 2^53. */
function multiply(one: number, other: number): [high: number, low: number] {
  const unsigned = other >>> 0;
  const upper = (one >>> 16) * unsigned;
  const lower = (one & 0xffff) * unsigned;
  const high = Math.floor((upper + Math.floor(lower / 65536)) / 65536);
  return [high >>> 0, Math.imul(one, unsigned) >>> 0];
}
