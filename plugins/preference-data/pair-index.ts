import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { failure } from './errors.ts';
import { readLines } from './lines.ts';
import type { Pair } from './pair.ts';
import { PairParser } from './parse.ts';

/** Where the pairs of a file are: 16 bytes for each, so that the file itself need not fit in memory. */
export interface PairIndex {
  readonly count: number;
  /** Byte offset of each pair's line. */
  readonly starts: Float64Array;
  /** Bytes of each pair's line. */
  readonly lengths: Uint32Array;
  /** Line number of each pair, from 1. */
  readonly lines: Uint32Array;
  /** Pairs that `keep` refused. */
  readonly dropped: number;
  readonly ignoredColumns: readonly string[];
  /** SHA-256 of the file, hexadecimal. */
  readonly digest: string;
  readonly version: FileVersion;
}

/** Tells whether a file was written to since. */
export interface FileVersion {
  readonly size: number;
  readonly mtimeMs: number;
}

/**
 * Reads a file once, checks every row, and notes where those pairs are that `keep` accepts.
 * Throws DATA_FILE_MISSING, DATA_FILE_UNREADABLE, DATA_FILE_EMPTY and what `PairParser` throws.
 */
export async function indexPairs(file: string, keep: (pair: Pair, line: number) => boolean): Promise<PairIndex> {
  const version = await versionOf(file);
  const parser = new PairParser(file);
  const hash = createHash('sha256');
  const starts: number[] = [];
  const lengths: number[] = [];
  const numbers: number[] = [];
  let dropped = 0;
  for await (const lines of readLines(file, (chunk) => hash.update(chunk))) {
    for (const line of lines) {
      const pair = parser.parse(line.bytes, line.number);
      if (pair === undefined) continue;
      if (!keep(pair, line.number)) {
        dropped += 1;
        continue;
      }
      starts.push(line.start);
      lengths.push(line.bytes.length);
      numbers.push(line.number);
    }
  }
  if (starts.length + dropped === 0) throw failure('DATA_FILE_EMPTY', { file });
  return {
    count: starts.length,
    starts: Float64Array.from(starts),
    lengths: Uint32Array.from(lengths),
    lines: Uint32Array.from(numbers),
    dropped,
    ignoredColumns: [...parser.ignored],
    digest: hash.digest('hex'),
    version,
  };
}

/** Size and time of a file. Throws DATA_FILE_MISSING and DATA_FILE_UNREADABLE. */
export async function versionOf(file: string): Promise<FileVersion> {
  const found = await stat(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw failure('DATA_FILE_MISSING', { file }, { cause });
    throw failure('DATA_FILE_UNREADABLE', { file, reason: cause.message }, { cause });
  });
  if (!found.isFile()) throw failure('DATA_FILE_UNREADABLE', { file, reason: 'it is not a file' });
  return { size: found.size, mtimeMs: found.mtimeMs };
}
