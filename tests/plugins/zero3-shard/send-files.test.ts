import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inRanks } from 'mooring/testing';
import { readWhole, receiveFiles, sendFiles } from '../../../plugins/zero3-shard/share/send-files.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mooring-send-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Handle = Parameters<typeof readWhole>[0];

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
      const filled = await readWhole(slowFile(content, most), piece, position);
      const there = content.subarray(position, position + length);
      expect([filled, [...piece.subarray(0, filled)]]).toEqual([there.length, [...there]]);
    }),
  );
});

test('a file that has become shorter since it was listed is refused, and not sent', async () => {
  writeFileSync(path.join(folder, 'model.safetensors'), 'alpha');
  const listed = [{ name: 'model.safetensors', bytes: 9 }];
  const sending = inRanks(2, (collectives) =>
    collectives.rank === 0 ? sendFiles(collectives, folder, listed) : receiveFiles(collectives, 0, listed),
  );
  await expect(sending).rejects.toMatchObject({ code: 'SHARED_FILE_SHRANK', details: { found: 5, bytes: 9 } });
});
