import { createHash } from 'node:crypto';
import type { Random } from './tokens.ts';

/** Yields integers in [0, 2^32). */
export type Bits = () => number;

/**
 * Random streams of a run: the numbers of a stream depend on the seed and its key only, not on what was drawn from
 * other streams. A stream is a xoshiro128++ whose state is the SHA-256 of seed and key.
 */
export function createRandom(seed: number): Random {
  return {
    stream(...key) {
      const digest = createHash('sha256')
        .update(JSON.stringify([seed, ...key]))
        .digest();
      const bits = xoshiro(
        digest.readUInt32LE(0),
        digest.readUInt32LE(4),
        digest.readUInt32LE(8),
        digest.readUInt32LE(12),
      );
      // 53 bits, as many as a number below 1 can have
      const next = () => ((bits() >>> 5) * 2 ** 26 + (bits() >>> 6)) / 2 ** 53;
      return { next, integer: (below) => Math.floor(next() * below) };
    },
  };
}

/** xoshiro128++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), from four words of state. */
export function xoshiro(a: number, b: number, c: number, d: number): Bits {
  let s0 = a | 0;
  let s1 = b | 0;
  let s2 = c | 0;
  // all zeros is the one state that it never leaves
  let s3 = (a | b | c | d) === 0 ? 1 : d | 0;
  return () => {
    const sum = (s0 + s3) | 0;
    const result = (((sum << 7) | (sum >>> 25)) + s0) >>> 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = (s3 << 11) | (s3 >>> 21);
    return result;
  };
}
