import type { FileHandle } from 'node:fs/promises';

/** One call reads at most 2 GiB. */
const mostBytes = 2 ** 28;

/** Fills `into` from a position of a file on; how many bytes there were. One call may read fewer than are there. */
export async function readFully(handle: Pick<FileHandle, 'read'>, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const length = Math.min(mostBytes, into.length - done);
    const { bytesRead } = await handle.read(into, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
