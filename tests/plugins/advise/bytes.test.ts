import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatBytes, parseBytes } from '../../../plugins/advise/byte-count.ts';

test.each([
  ['24GiB', 24 * 2 ** 30],
  ['16GB', 16e9],
  ['512 mib', 512 * 2 ** 20],
  ['1.5TiB', 1.5 * 2 ** 40],
  ['100B', 100],
])('%s is %i bytes', (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});

test.each(['', '24', 'GiB', '24 gigabytes', '-1GiB', '0GiB', '1e3GB', '24GiBs', '1..5GB', '9999999999TiB'])(
  '"%s" is no amount of memory',
  (text) => {
    expect(parseBytes(text)).toBeUndefined();
  },
);

test('bytes are written with three digits, and read back within half of the last', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 46 }), (bytes) => {
      const back = parseBytes(formatBytes(bytes)) as number;
      expect(Math.abs(back - bytes) / bytes).toBeLessThanOrEqual(0.0051);
    }),
  );
});
