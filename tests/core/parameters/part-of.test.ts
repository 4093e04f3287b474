import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rangeOf } from 'mooring';
import { answeredRange } from '../../../core/parameters/part-of.ts';

test('ranks answer for every element once, whether it is split, whole on all of them, or too small to be split', () => {
  const property = fc.property(fc.nat(12), fc.integer({ min: 1, max: 6 }), fc.boolean(), (elements, ranks, isSplit) => {
    const spec = () => ({ name: 'alpha', shape: [elements], isDecayed: true });
    const answered = Array.from({ length: ranks }, (_, rank) => {
      const range = () => (isSplit ? rangeOf(elements, rank, ranks) : { begin: 0, end: elements });
      const { begin, end } = answeredRange({ spec, range }, 'alpha', { rank, ranks });
      return Array.from({ length: end - begin }, (_, at) => begin + at);
    });
    expect(answered.flat()).toEqual(Array.from({ length: elements }, (_, at) => at));
  });
  fc.assert(property);
});
