import { createHash } from 'node:crypto';
import type { Random } from './tokens.ts';

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
      const state = Int32Array.from([0, 4, 8, 12], (at) => digest.readInt32LE(at));
      const bits = new Uint32Array(64);
      let drawn = bits.length;
      const draw = () => {
        if (drawn === bits.length) {
          xoshiro(state, bits);
          drawn = 0;
        }
        return bits[drawn++] as number;
      };
      // 53 bits, as many as a number below 1 can have
      const next = () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53;
      return { next, integer: (below) => Math.floor(next() * below) };
    },
  };
}

/**
 * Fills `numbers` with the next 32-bit numbers of xoshiro128++ (Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators", 2021) and moves its state, four words, on.
 */
export function xoshiro(state: Int32Array, numbers: Uint32Array): void {
  let [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = state;
  // all zeros is the one state that it never leaves
  if ((s0 | s1 | s2 | s3) === 0) s3 = 1;
  for (let at = 0; at < numbers.length; at++) {
    const sum = (s0 + s3) | 0;
    numbers[at] = ((sum << 7) | (sum >>> 25)) + s0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = (s3 << 11) | (s3 >>> 21);
  }
  state.set([s0, s1, s2, s3]);
}
