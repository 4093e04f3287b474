import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Fingerprint, mergeFingerprints } from 'mooring';
import { inRanks } from 'mooring/testing';

/** Float32 values of any bits. */
const valuesOfAnyBits = fc
  .uint32Array({ minLength: 1, maxLength: 40 })
  .map((bits) => new Float32Array(Uint32Array.from(bits).buffer));

/** Values, and the offsets at which they are cut. */
const cutValues = valuesOfAnyBits.chain((values) =>
  fc.tuple(fc.constant(values), fc.array(fc.nat({ max: values.length }), { maxLength: 5 })),
);

async function fingerprintOf(values: Float32Array, { name = 'alpha', shape = [values.length] } = {}) {
  const fingerprint = new Fingerprint();
  await fingerprint.add(name, shape, [values]);
  return fingerprint.value;
}

test('is the same however the values are cut, and in whatever order the pieces come', async () => {
  await fc.assert(
    fc.asyncProperty(cutValues, fc.boolean(), async ([values, cuts], isReversed) => {
      const bounds = [0, ...cuts.sort((a, b) => a - b), values.length];
      const pieces = bounds.slice(1).map((end, at) => ({ begin: bounds[at] as number, end }));
      const fingerprint = new Fingerprint();
      for (const { begin, end } of isReversed ? pieces.reverse() : pieces)
        await fingerprint.add('alpha', [values.length], [values.subarray(begin, end)], begin);
      expect(fingerprint.value).toBe(await fingerprintOf(values));
    }),
  );
});

test('is the same for any number of ranks, each of which has seen its part', async () => {
  await fc.assert(
    fc.asyncProperty(valuesOfAnyBits, fc.integer({ min: 1, max: 5 }), async (values, ranks) => {
      const found = await inRanks(ranks, async (collectives) => {
        const bound = (rank: number) => Math.floor((rank * values.length) / ranks);
        const begin = bound(collectives.rank);
        const fingerprint = new Fingerprint();
        for (const name of collectives.rank % 2 === 0 ? ['alpha', 'bravo'] : ['bravo', 'alpha'])
          await fingerprint.add(name, [values.length], [values.subarray(begin, bound(collectives.rank + 1))], begin);
        await mergeFingerprints(collectives, fingerprint);
        return fingerprint.value;
      });
      const whole = new Fingerprint();
      for (const name of ['bravo', 'alpha']) await whole.add(name, [values.length], [values]);
      expect(found).toEqual(Array.from({ length: ranks }, () => whole.value));
    }),
  );
});

describe('differs where', () => {
  test('one bit does', async () => {
    await fc.assert(
      fc.asyncProperty(valuesOfAnyBits, fc.nat(), fc.nat({ max: 31 }), async (values, at, bit) => {
        const other = values.slice();
        (new Uint32Array(other.buffer)[at % values.length] as number) ^= 1 << bit;
        expect(await fingerprintOf(other)).not.toBe(await fingerprintOf(values));
      }),
    );
  });

  test('two elements have changed places', async () => {
    await fc.assert(
      fc.asyncProperty(valuesOfAnyBits, fc.nat(), fc.nat(), async (values, one, two) => {
        const [a, b] = [one % values.length, two % values.length];
        const bits = new Uint32Array(values.buffer);
        fc.pre(bits[a] !== bits[b]);
        const swapped = bits.slice();
        swapped.set([bits[b] as number], a);
        swapped.set([bits[a] as number], b);
        expect(await fingerprintOf(new Float32Array(swapped.buffer))).not.toBe(await fingerprintOf(values));
      }),
    );
  });

  test('only the sign of a zero does, the name, the shape, or how many zeros there are', async () => {
    const zeros = Float32Array.of(0, 0);
    const all = await Promise.all([
      fingerprintOf(zeros),
      fingerprintOf(Float32Array.of(0, -0)),
      fingerprintOf(Float32Array.of(-0, 0)),
      fingerprintOf(zeros, { name: 'bravo' }),
      fingerprintOf(zeros, { shape: [1, 2] }),
      fingerprintOf(Float32Array.of(0, 0, 0), { shape: [2] }),
    ]);
    expect(new Set(all).size).toBe(all.length);
  });

  test('few elements of many do: no two of 300,000 tensors that differ in one element agree', async () => {
    const values = new Float32Array(1);
    const seen = new Set<string>();
    const bits = new Uint32Array(values.buffer);
    for (let begin = 0; begin < 300; begin++) {
      for (bits[0] = 0; (bits[0] as number) < 1000; (bits[0] as number)++) {
        const fingerprint = new Fingerprint();
        await fingerprint.add('alpha', [300], [values], begin);
        seen.add(fingerprint.sums.join());
      }
    }
    expect(seen.size).toBe(300_000);
  });
});
