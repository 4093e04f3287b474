import { createReadStream } from 'node:fs';

/** A line of a file, without its line feed. */
export interface Line {
  /** Counted from 1, empty lines included. */
  readonly number: number;
  /** Byte offset in the file. */
  readonly start: number;
  readonly bytes: Uint8Array;
}

const lineFeed = 0x0a;

/**
 * Reads a file of any size line by line, those of a chunk at a time.
 * `onChunk` sees every byte in order. The lines' bytes are valid until the next chunk is asked for.
 */
export async function* readLines(
  file: string,
  onChunk: (chunk: Uint8Array) => void = () => {},
  chunkBytes = 1 << 20,
): AsyncGenerator<readonly Line[]> {
  let number = 1;
  let start = 0;
  // pieces of a line that goes on in the next chunk
  let pieces: Uint8Array[] = [];
  const finish = (last: Uint8Array): Line => {
    const bytes = pieces.length === 0 ? last : Buffer.concat([...pieces, last]);
    pieces = [];
    const line = { number, start, bytes };
    number += 1;
    start += bytes.length + 1;
    return line;
  };
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>) {
    onChunk(chunk);
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, from)) {
      lines.push(finish(chunk.subarray(from, at)));
      from = at + 1;
    }
    if (from < chunk.length) pieces.push(chunk.subarray(from));
    yield lines;
  }
  if (pieces.length > 0) yield [finish(new Uint8Array())];
}
