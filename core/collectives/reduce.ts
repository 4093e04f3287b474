import type { Reduction } from './collectives.ts';

const bits = new Uint32Array(1);
const number = new Float32Array(bits.buffer);

/**
 * One list out of those of all ranks: element by element, in the order of the ranks and in float32, so that every
 * transport gives the same bits. A Uint16Array holds bfloat16, rounded once, to nearest and ties to even. `parts` are of
 * equal length.
 */
export function reduce<Data extends Float32Array | Uint16Array>(parts: readonly Data[], reduction: Reduction): Data {
  const [first, ...others] = parts.map(toFloat32);
  const total = (first ?? new Float32Array()).slice();
  for (const part of others) {
    if (reduction === 'max') for (let at = 0; at < total.length; at++) total[at] = larger(total, part, at);
    else for (let at = 0; at < total.length; at++) (total[at] as number) += part[at] as number;
  }
  if (reduction === 'mean') for (let at = 0; at < total.length; at++) (total[at] as number) /= parts.length;
  return (parts[0] instanceof Uint16Array ? Uint16Array.from(total, toBfloat16) : total) as Data;
}

/** Not a number if either is not: a rank's NaN must not be lost. */
function larger(one: Float32Array, other: Float32Array, at: number): number {
  return Math.max(one[at] as number, other[at] as number);
}

function toFloat32(values: Float32Array | Uint16Array): Float32Array {
  if (values instanceof Float32Array) return values;
  const wide = new Uint32Array(values.length);
  for (let at = 0; at < values.length; at++) wide[at] = (values[at] as number) << 16;
  return new Float32Array(wide.buffer);
}

function toBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  number[0] = value;
  const all = bits[0] as number;
  return (all + 0x7fff + ((all >>> 16) & 1)) >>> 16;
}
