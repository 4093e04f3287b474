import type { Payload } from './collectives.ts';

/** Zeros of a kind. */
export function newLike<Data extends Payload>(like: Data, length: number): Data {
  if (like instanceof Float32Array) return new Float32Array(length) as Data;
  return (like instanceof Uint16Array ? new Uint16Array(length) : new Uint8Array(length)) as Data;
}

/** Lists of one kind, one after the other; there is one at least. */
export function joined<Data extends Payload>(parts: readonly Data[]): Data {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = newLike(parts[0] as Data, length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
