import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { dropoutMask, philox } from '../../core/dropout.ts';
import { createRandom, xoshiro } from '../../core/random.ts';

const key = { seed: 42, step: 3 };
const place = { firstRow: 0, layer: 1, site: 2 };

test("philox gives the known answers of the paper's authors", () => {
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344] as const;
  expect(philox(pi, [0xa4093822, 0x299f31d0])).toEqual([0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
});

test("xoshiro gives its authors' first numbers from the state 1, 2, 3, 4", () => {
  const numbers = new Uint32Array(4);
  xoshiro(Int32Array.of(1, 2, 3, 4), numbers);
  expect([...numbers]).toEqual([641, 1573767, 3222811527, 3517856514]);
});

test('a stream does not depend on what other streams gave', () => {
  const part = fc.oneof(fc.string(), fc.integer());
  fc.assert(
    fc.property(fc.nat(), fc.array(part), fc.nat(20), (seed, name, others) => {
      const alone = createRandom(seed).stream(...name);
      const random = createRandom(seed);
      const other = random.stream(...name, 'other');
      const together = random.stream(...name);
      for (let draw = 0; draw < others; draw++) other.next();
      expect(together.next()).toBe(alone.next());
      expect(together.integer(1000)).toBe(alone.integer(1000));
    }),
  );
});

test('streams of other seeds and keys give other numbers', () => {
  const first = (seed: number, ...name: (string | number)[]) =>
    createRandom(seed)
      .stream(...name)
      .next();
  const draws = [first(1), first(2), first(1, 'a'), first(1, 'b'), first(1, 1), first(1, '1'), first(1, 'a', 'b')];
  expect(new Set(draws).size).toBe(draws.length);
});

test('numbers lie in their range and fill it evenly', () => {
  const stream = createRandom(7).stream('even');
  const counts = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 100_000; draw++) {
    const value = stream.integer(10);
    counts[value] = (counts[value] as number) + 1;
  }
  // 10,000 expected in each, standard deviation 95
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(5 * 95);
});

test('a mask is the same however the batch is split', () => {
  const sizes = fc.record({
    rows: fc.integer({ min: 1, max: 6 }),
    at: fc.nat(6),
    width: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(sizes, fc.nat(1000), ({ rows, at, width }, firstRow) => {
      const cut = Math.min(at, rows);
      const whole = dropoutMask(key, { ...place, firstRow }, [rows, width], 0.5);
      const head = dropoutMask(key, { ...place, firstRow }, [cut, width], 0.5);
      const tail = dropoutMask(key, { ...place, firstRow: firstRow + cut }, [rows - cut, width], 0.5);
      expect([...head, ...tail]).toEqual([...whole]);
    }),
  );
});

test('a value of a mask is the same however far the batch is padded', () => {
  const [heads, short, long] = [2, 3, 5];
  const small = dropoutMask(key, place, [2, heads, short, short], 0.5);
  const large = dropoutMask(key, place, [2, heads, long, long], 0.5);
  for (let line = 0; line < 2 * heads * short; line++) {
    const [outer, query] = [Math.floor(line / short), line % short];
    const start = (outer * long + query) * long;
    expect(large.subarray(start, start + short)).toEqual(small.subarray(line * short, (line + 1) * short));
  }
});

test('masks of other seeds, steps, layers, sites and rows differ', () => {
  const mask = (seed: number, step: number, layer: number, site: number, firstRow: number) =>
    dropoutMask({ seed, step }, { layer, site, firstRow }, [1, 64], 0.5).join();
  const masks = [mask(1, 1, 1, 1, 1), mask(2, 1, 1, 1, 1), mask(1, 2, 1, 1, 1)];
  masks.push(mask(1, 1, 2, 1, 1), mask(1, 1, 1, 2, 1), mask(1, 1, 1, 1, 2), mask(2 ** 32 + 1, 1, 1, 1, 1));
  expect(new Set(masks).size).toBe(masks.length);
});

test('a mask drops its share and scales the rest, so that the mean is 1', () => {
  const mask = dropoutMask(key, place, [100, 1000], 0.1);
  const dropped = mask.filter((value) => value === 0).length;
  // 10,000 expected, standard deviation 95
  expect(Math.abs(dropped - 10_000)).toBeLessThan(5 * 95);
  expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / 0.9)]));
});
