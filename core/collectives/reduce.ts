import type { Reduction } from './collectives.ts';

/**
 * Reduces what the ranks have, `parts` in the order of the ranks and of one length, into `target`, which may be one of
 * them; by default a new array. Float32 adds in float32; bfloat16 (Uint16Array) too, and is rounded once, to nearest and
 * ties to even. Every provider of Collectives reduces by this, so that all give the same bits.
 */
export function reduce<Data extends Float32Array | Uint16Array>(
  parts: readonly Data[],
  reduction: Reduction,
  target: Data = newLike(parts[0] as Data),
): Data {
  const [first, ...others] = parts as readonly [Data, ...Data[]];
  for (let begin = 0; begin < first.length; begin += chunk) {
    const sums = accumulator.subarray(0, Math.min(chunk, first.length - begin));
    const end = begin + sums.length;
    take(sums, first, begin, end);
    for (const part of others) {
      if (reduction === 'max') keepLargest(sums, numbers(part, begin, end));
      else add(sums, numbers(part, begin, end));
    }
    if (reduction === 'mean') divide(sums, parts.length);
    put(target, sums, begin);
  }
  return target;
}

/** Elements that are summed at a time: what they need stays in the processor's nearest cache. */
const chunk = 4096;
const accumulator = new Float32Array(chunk);
const accumulatorBits = new Uint32Array(accumulator.buffer);
const widened = new Float32Array(chunk);
const widenedBits = new Uint32Array(widened.buffer);

function newLike<Data extends Float32Array | Uint16Array>(like: Data): Data {
  return (like instanceof Float32Array ? new Float32Array(like.length) : new Uint16Array(like.length)) as Data;
}

function take(sums: Float32Array, from: Float32Array | Uint16Array, begin: number, end: number): void {
  if (from instanceof Float32Array) sums.set(from.subarray(begin, end));
  else for (let at = begin; at < end; at++) accumulatorBits[at - begin] = (from[at] as number) << 16;
}

function numbers(from: Float32Array | Uint16Array, begin: number, end: number): Float32Array {
  if (from instanceof Float32Array) return from.subarray(begin, end);
  for (let at = begin; at < end; at++) widenedBits[at - begin] = (from[at] as number) << 16;
  return widened;
}

function put(target: Float32Array | Uint16Array, sums: Float32Array, begin: number): void {
  if (target instanceof Float32Array) target.set(sums, begin);
  else for (let at = 0; at < sums.length; at++) target[begin + at] = roundedBits(accumulatorBits[at] as number);
}

/** The bfloat16 of a float32, both as bits; NaN stays NaN. */
function roundedBits(word: number): number {
  const isNotANumber = (word & 0x7fffffff) > 0x7f800000;
  return isNotANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

function add(sums: Float32Array, values: Float32Array): void {
  for (let at = 0; at < sums.length; at++) sums[at] = (sums[at] as number) + (values[at] as number);
}

function keepLargest(sums: Float32Array, values: Float32Array): void {
  for (let at = 0; at < sums.length; at++) sums[at] = Math.max(sums[at] as number, values[at] as number);
}

function divide(sums: Float32Array, count: number): void {
  for (let at = 0; at < sums.length; at++) sums[at] = (sums[at] as number) / count;
}
