import { open } from 'node:fs/promises';
import path from 'node:path';
import { type Collectives, readFully, writeFileAside } from 'mooring';
import { failure } from './errors.ts';

/** A file that goes from one rank to the others. */
export interface SentFile {
  readonly name: string;
  readonly bytes: number;
}

/** What is in memory of a file at a time. */
const pieceBytes = 64 * 2 ** 20;

/**
 * Sends files of a folder to all other ranks, each of which calls `receiveFiles` with the same. Throws RANK_FAILED and
 * SHARED_FILE_SHRANK.
 */
export async function sendFiles(collectives: Collectives, folder: string, files: readonly SentFile[]): Promise<void> {
  for (const file of files) {
    const place = path.join(folder, file.name);
    const handle = await open(place);
    try {
      for (const [position, length] of piecesOf(file)) {
        const piece = new Uint8Array(length);
        const read = await readFully(handle, piece, position);
        if (read < length) throw failure('SHARED_FILE_SHRANK', { place, found: position + read, bytes: file.bytes });
        await collectives.broadcast(piece, collectives.rank, file.name);
      }
    } finally {
      await handle.close();
    }
  }
}

/** Takes what `root` sends, and writes it into `folder` if one is given. Throws RANK_FAILED, DISK_FULL and WRITE_FAILED. */
export async function receiveFiles(
  collectives: Collectives,
  root: number,
  files: readonly SentFile[],
  folder?: string,
): Promise<void> {
  for (const file of files) {
    const receive = async (write: (piece: Uint8Array) => Promise<unknown>) => {
      for (const [, length] of piecesOf(file))
        await write(await collectives.broadcast(new Uint8Array(length), root, file.name));
    };
    if (folder === undefined) await receive(async () => undefined);
    else await writeFileAside(path.join(folder, file.name), (handle) => receive((piece) => handle.writeFile(piece)));
  }
}

/** Where each piece of a file begins, and how long it is. */
function piecesOf({ bytes }: SentFile): (readonly [position: number, length: number])[] {
  const begins = Array.from({ length: Math.ceil(bytes / pieceBytes) }, (_, index) => index * pieceBytes);
  return begins.map((begin) => [begin, Math.min(pieceBytes, bytes - begin)]);
}
