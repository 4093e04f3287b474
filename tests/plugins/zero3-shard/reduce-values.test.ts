import { expect, test } from '@jest/globals';
import type { ParameterSpec } from 'mooring';
import { inRanks } from 'mooring/testing';
import { reduceValues } from '../../../plugins/zero3-shard/gradients/reduce-values.ts';
import { createPartition } from '../../../plugins/zero3-shard/partition.ts';

const specs: ParameterSpec[] = [
  { name: 'large', shape: [500, 401], isDecayed: true },
  { name: 'larger', shape: [600, 400], isDecayed: true },
  { name: 'small', shape: [30, 31], isDecayed: true },
  { name: 'whole', shape: [7], isDecayed: true },
];
const elementsOf = ({ shape }: ParameterSpec) => shape.reduce((product, size) => product * size, 1);
const values = specs.map((spec) => Float32Array.from({ length: elementsOf(spec) }, (_, at) => at % 1000));

// 70,000 cuts the large ones into pieces that are still large, 1,000 into small ones
test.each([500_000_000, 70_000, 1000])(
  'gradients in buckets of at most %s elements are summed whole, in their order',
  async (limit) => {
    const ranks = 3;
    const parts = await inRanks(ranks, async (collectives) => {
      const partition = createPartition(collectives, 10);
      const own = values.map((each) => each.map((value) => value * (collectives.rank + 1)));
      return reduceValues(specs, own, { partition, collectives, limit });
    });
    for (const [index, whole] of values.entries()) {
      const isWhole = specs[index]?.name === 'whole';
      const found = isWhole ? [parts[0]?.[index]] : parts.map((each) => each[index]);
      const joined = found.flatMap((each) => [...(each ?? [])]);
      expect(joined).toHaveLength(whole.length);
      expect(joined.every((value, at) => value === 6 * (whole[at] as number))).toBe(true);
    }
  },
);
