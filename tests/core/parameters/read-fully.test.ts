import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readFully } from 'mooring';

type Handle = Parameters<typeof readFully>[0];

/** A file that gives at most so many bytes at a time, as network filesystems may. */
function slowFile(content: Uint8Array, most: number): Handle {
  const read = async (into: Uint8Array, offset: number, length: number, position: number) => {
    const some = content.subarray(position, position + Math.min(length, most));
    into.set(some, offset);
    return { bytesRead: some.length, buffer: into };
  };
  return { read: read as Handle['read'] };
}

test('a piece is filled however few bytes a read gives, as far as the file goes', async () => {
  const sizes = fc.record({
    bytes: fc.nat(40),
    most: fc.integer({ min: 1, max: 9 }),
    position: fc.nat(40),
    length: fc.nat(40),
  });
  await fc.assert(
    fc.asyncProperty(sizes, async ({ bytes, most, position, length }) => {
      const content = Uint8Array.from({ length: bytes }, (_, at) => at + 1);
      const piece = new Uint8Array(length);
      const filled = await readFully(slowFile(content, most), piece, position);
      const there = content.subarray(position, position + length);
      expect([filled, [...piece.subarray(0, filled)]]).toEqual([there.length, [...there]]);
    }),
  );
});
