import { expect, test } from '@jest/globals';
import { reduce } from 'mooring';

test('adds in float32 and in the order of the ranks', () => {
  // 2^24 + 1 is no float32: added one by one both ones are lost, the other way round they count
  const parts = [2 ** 24, 1, 1].map((value) => Float32Array.of(value));
  const [first, second, third] = parts as [Float32Array, Float32Array, Float32Array];
  expect([...reduce([first, second, third], 'sum')]).toEqual([2 ** 24]);
  expect([...reduce([third, second, first], 'sum')]).toEqual([2 ** 24 + 2]);
});

test('rounds bfloat16 once, after everything is added', () => {
  // 1 + 2^-8 + 2^-8: each addition alone would round back to 1, both together are 1 + 2^-7, the next bfloat16
  const [one, small] = [0x3f80, 0x3b80];
  const parts = [one, small, small].map((bits) => Uint16Array.of(bits));
  expect([...reduce(parts, 'sum')]).toEqual([0x3f81]);
});

test('takes the mean over the ranks, and the largest, where a NaN stays one', () => {
  const parts = [Float32Array.of(1, -0, Number.NaN), Float32Array.of(2, 0, 5)] as const;
  expect([...reduce(parts, 'mean')]).toEqual([1.5, 0, Number.NaN]);
  expect([...reduce(parts, 'max')]).toEqual([2, 0, Number.NaN]);
});

test('may put the result in the place of what it was made of', () => {
  const length = 10_001;
  const parts = [1, 2, 3].map((value) => new Float32Array(length).fill(value));
  const [first, second, third] = parts as [Float32Array, Float32Array, Float32Array];
  expect(reduce([first, second, third], 'sum', third)).toBe(third);
  expect(third).toEqual(new Float32Array(length).fill(6));
});
