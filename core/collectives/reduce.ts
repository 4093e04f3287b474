import { toBfloat16 } from '../parameters/safetensors/dtype.ts';
import type { Reduction } from './collectives.ts';
import { newLike } from './payload.ts';
import { add, addend, chunk, sum } from './vector.ts';

/**
 * Reduces what the ranks have, `parts` in the order of the ranks and of one length, into `target`, which may be one of
 * them; by default a new array. Float32 adds in float32; bfloat16 (Uint16Array) too, and is rounded once, to nearest and
 * ties to even. Every provider of Collectives reduces by this, so that all give the same bits.
 */
export function reduce<Data extends Float32Array | Uint16Array>(
  parts: readonly Data[],
  reduction: Reduction,
  target: Data = newLike(parts[0] as Data, parts[0]?.length ?? 0),
): Data {
  const [first, ...others] = parts as readonly [Data, ...Data[]];
  for (let begin = 0; begin < first.length; begin += chunk) {
    const count = Math.min(chunk, first.length - begin);
    take(sum, first, begin, count);
    for (const part of others) {
      take(addend, part, begin, count);
      if (reduction === 'max') keepLargest(count);
      else add(count);
    }
    if (reduction === 'mean') divide(count, parts.length);
    put(target, begin, count);
  }
  return target;
}

const bits = { sum: bitsOf(sum), addend: bitsOf(addend) };

function bitsOf(numbers: Float32Array): Uint32Array {
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
}

function take(into: Float32Array, from: Float32Array | Uint16Array, begin: number, count: number): void {
  if (from instanceof Float32Array) {
    into.set(from.subarray(begin, begin + count));
    return;
  }
  const wide = into === sum ? bits.sum : bits.addend;
  for (let at = 0; at < count; at++) wide[at] = (from[begin + at] as number) << 16;
}

function put(target: Float32Array | Uint16Array, begin: number, count: number): void {
  const reduced = sum.subarray(0, count);
  target.set(target instanceof Float32Array ? reduced : toBfloat16(reduced), begin);
}

/** Not a number if either is not: a rank's NaN must not be lost. */
function keepLargest(count: number): void {
  for (let at = 0; at < count; at++) sum[at] = Math.max(sum[at] as number, addend[at] as number);
}

function divide(count: number, by: number): void {
  for (let at = 0; at < count; at++) sum[at] = (sum[at] as number) / by;
}
