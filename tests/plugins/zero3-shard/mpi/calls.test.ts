import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { callsOf, mostBytes, piecesOf } from '../../../../plugins/zero3-shard/mpi/calls.ts';

const gibibytes = 2 ** 30;
const words = fc.array(
  fc.nat(30).map((count) => 4 * count),
  { minLength: 1, maxLength: 7 },
);
const limits = fc.integer({ min: 4, max: 100 });

test('what MPI can count is one call', () => {
  const sizes = [8, 0, 4];
  expect(callsOf({ kind: 'gather', address: 0n, sizes }, 0)).toHaveLength(1);
  expect(callsOf({ kind: 'exchange', send: 0n, receive: 0n, sizes }, 0)).toHaveLength(1);
  expect(callsOf({ kind: 'broadcast', address: 0n, bytes: mostBytes, root: 0 }, 0)).toHaveLength(1);
});

test('more than two gigabytes come in calls that each count less, with the same calls on all ranks', () => {
  const sizes = [3 * gibibytes, gibibytes];
  for (const transfer of [
    { kind: 'gather', address: 0n, sizes } as const,
    { kind: 'exchange', send: 0n, receive: 0n, sizes } as const,
    { kind: 'broadcast', address: 0n, bytes: 5 * gibibytes, root: 1 } as const,
  ]) {
    const [first, second] = [0, 1].map((rank) => callsOf(transfer, rank));
    const shape = (calls: typeof first) => calls?.map((call) => ({ ...call, receive: 0n }));
    expect(shape(first)).toEqual(shape(second));
    expect(first?.length).toBeGreaterThan(1);
    for (const call of first ?? []) expect('bytes' in call && call.bytes <= mostBytes).toBe(true);
  }
});

test('the pieces of an exchange follow each other, in the part and in memory, whatever the limit', () => {
  fc.assert(
    fc.property(words, limits, fc.nat(6), (sizes, limit, some) => {
      const rank = some % sizes.length;
      let end = 0;
      for (const { begin, bytes, at } of piecesOf(sizes, rank, limit)) {
        expect([begin, at]).toEqual([end, end * sizes.length]);
        end += bytes;
      }
      expect(end).toBe(sizes[rank]);
    }),
  );
});

test('broadcasts of a gather that is too large cover every rank’s part once', () => {
  fc.assert(
    fc.property(words, limits, (sizes, limit) => {
      const total = sizes.reduce((sum, size) => sum + size, 0);
      fc.pre(total > limit);
      const covered = new Uint8Array(total);
      for (const call of callsOf({ kind: 'gather', address: 0n, sizes }, 0, limit)) {
        if (call.name !== 'MPI_Ibcast') throw new Error(call.name);
        expect(call.bytes).toBeLessThanOrEqual(limit);
        for (let at = 0; at < call.bytes; at++) covered[Number(call.address) + at] = call.root + 1;
      }
      expect([...covered]).toEqual(sizes.flatMap((size, rank) => Array.from({ length: size }, () => rank + 1)));
    }),
  );
});
