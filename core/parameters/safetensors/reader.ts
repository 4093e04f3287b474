import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { closest } from 'fastest-levenshtein';
import type { Range } from '../../collectives/collectives.ts';
import { readFully } from '../read-fully.ts';
import { bytesOf, isReadable, type ReadableDtype, type Values, widen } from './dtype.ts';
import { failure } from './errors.ts';
import { type Header, headerLimitBytes, parseHeader, type TensorEntry } from './header.ts';

/** Named tensors on disk, read one at a time. */
export interface TensorSource {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /**
   * Reads one tensor's bytes: F32, BF16 and F16 as float32, I32 and I64 as int32.
   * Throws `SAFETENSORS_TENSOR_MISSING`, `SAFETENSORS_DTYPE_UNSUPPORTED` and what a file that changed since causes.
   */
  readTensor(name: string): Promise<Values>;
  /**
   * Reads one tensor's values, or a range of them, piece by piece, in their order, for a reader that need not hold them
   * twice: a piece has at most 2^20 of them, and is overwritten when the next is asked for. Throws as `readTensor` does.
   */
  readPieces(name: string, range?: Range): AsyncIterable<Values>;
  /**
   * Has the system read these tensors' bytes, or those of ranges of their elements, into its own cache: it takes 1 MiB here, and
   * goes on while this thread computes. Throws as `readTensor` does.
   */
  prefetch(names: readonly string[], ranges?: (name: string) => Range | undefined): Promise<void>;
  /** Throws SAFETENSORS_CHANGED where a file is gone, or is not the one that was opened. */
  refuseChanged(): Promise<void>;
  close(): Promise<void>;
}

/** An open safetensors file. */
export interface Safetensors extends TensorSource {
  readonly file: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Opens a safetensors file and checks its header; tensors are read later, by byte range.
 * Throws the `SAFETENSORS_...` errors; nothing is allocated that the file's size does not cover.
 */
export async function openSafetensors(file: string): Promise<Safetensors> {
  const handle = await attempt(file, open(file));
  try {
    const opened = await attempt(file, handle.stat());
    const { size } = opened;
    const headerBytes = await readHeaderLength(handle, file, size);
    const dataStart = 8 + headerBytes;
    const text = new Uint8Array(headerBytes);
    await readAll(handle, file, text, 8);
    const { entries, metadata }: Header = parseHeader(text, size - dataStart, file);
    return {
      file,
      entries,
      metadata,
      readTensor: (name) => readTensor(handle, file, dataStart, entries, name),
      readPieces: (name, range) => readPieces(handle, file, dataStart, entryOf(file, entries, name), name, range),
      prefetch: (names, ranges) => prefetch(handle, file, dataStart, rangesOf(file, entries, names, ranges)),
      refuseChanged: () => refuseChanged(file, opened),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readHeaderLength(handle: FileHandle, file: string, size: number): Promise<number> {
  if (size < 8) throw failure('SAFETENSORS_TRUNCATED', { file, size, needed: 8 });
  const prefix = Buffer.alloc(8);
  await readAll(handle, file, prefix, 0);
  const bytes = prefix.readBigUInt64LE();
  if (bytes > headerLimitBytes) {
    throw failure('SAFETENSORS_HEADER_TOO_LARGE', { file, bytes: String(bytes), limit: headerLimitBytes });
  }
  const needed = 8 + Number(bytes);
  if (needed > size) throw failure('SAFETENSORS_TRUNCATED', { file, size, needed });
  return Number(bytes);
}

async function readTensor(
  handle: FileHandle,
  file: string,
  dataStart: number,
  entries: ReadonlyMap<string, TensorEntry>,
  name: string,
): Promise<Values> {
  const entry = entryOf(file, entries, name);
  const count = countOf(file, entry, name);
  const buffer = new ArrayBuffer(Math.max(4 * count, entry.end - entry.begin));
  return readValues(handle, file, { ...entry, begin: dataStart + entry.begin }, name, buffer, count);
}

const pieceCount = 2 ** 20;
/** The buffer of the last pieces, for the next: the system takes long to notice that buffers are garbage. */
let spare: ArrayBuffer | undefined;

async function* readPieces(
  handle: FileHandle,
  file: string,
  dataStart: number,
  entry: TensorEntry,
  name: string,
  range?: Range,
): AsyncGenerator<Values> {
  const total = countOf(file, entry, name);
  const { begin, end } = range ?? { begin: 0, end: total };
  if (end > total) throw failure('SAFETENSORS_RANGE', { file, tensor: name, total, end });
  const bytes = bytesOf(entry.dtype);
  const buffer = spare ?? new ArrayBuffer(8 * pieceCount);
  spare = undefined;
  try {
    for (let at = begin; at < end; at += pieceCount) {
      const count = Math.min(pieceCount, end - at);
      yield await readValues(
        handle,
        file,
        { ...entry, begin: dataStart + entry.begin + at * bytes },
        name,
        buffer,
        count,
      );
    }
  } finally {
    spare = buffer;
  }
}

/** Throws SAFETENSORS_DTYPE_UNSUPPORTED. */
function countOf(file: string, { dtype, begin, end }: TensorEntry, tensor: string): number {
  if (!isReadable(dtype)) throw failure('SAFETENSORS_DTYPE_UNSUPPORTED', { file, tensor, dtype });
  return (end - begin) / bytesOf(dtype);
}

/** Reads `count` elements from `begin` on, an offset in the file, and widens them within `buffer`. */
async function readValues(
  handle: FileHandle,
  file: string,
  { dtype, begin }: Pick<TensorEntry, 'dtype' | 'begin'>,
  name: string,
  buffer: ArrayBuffer,
  count: number,
): Promise<Values> {
  const bytes = count * bytesOf(dtype);
  const stored = new Uint8Array(buffer, Math.max(4 * count, bytes) - bytes, bytes);
  await readAll(handle, file, stored, begin);
  return widenOf(dtype as ReadableDtype, buffer, count, file, name);
}

function entryOf(file: string, entries: ReadonlyMap<string, TensorEntry>, name: string): TensorEntry {
  const entry = entries.get(name);
  if (entry !== undefined) return entry;
  const nearest = entries.size > 0 ? closest(name, [...entries.keys()]) : '';
  throw failure('SAFETENSORS_TENSOR_MISSING', { file, tensor: name, nearest });
}

/** Byte ranges of tensors, those that touch as one. */
function rangesOf(
  file: string,
  entries: ReadonlyMap<string, TensorEntry>,
  names: readonly string[],
  ranges: ((name: string) => Range | undefined) | undefined,
) {
  const joined: { begin: number; end: number }[] = [];
  const wanted = names.map((name) => {
    const { dtype, ...whole } = entryOf(file, entries, name);
    const range = ranges?.(name);
    if (range === undefined) return whole;
    const position = (element: number) => whole.begin + element * bytesOf(dtype);
    return { begin: position(range.begin), end: position(range.end) };
  });
  for (const { begin, end } of wanted.sort((a, b) => a.begin - b.begin)) {
    const last = joined.at(-1);
    if (last?.end === begin) last.end = end;
    else joined.push({ begin, end });
  }
  return joined;
}

const scratchBytes = 2 ** 20;
/** What is read ahead goes here, and nobody looks at it. */
let scratch: Uint8Array | undefined;
/** As many buffers as one call of the system takes. */
const mostBuffers = 1024;

/** Reads into one small buffer again and again, a GiB for each call: none of it has to wait for this thread. */
async function prefetch(
  handle: FileHandle,
  file: string,
  dataStart: number,
  ranges: readonly { begin: number; end: number }[],
): Promise<void> {
  scratch ??= new Uint8Array(scratchBytes);
  const all = scratch;
  const calls = ranges.flatMap(({ begin, end }) => {
    const pieces: Promise<unknown>[] = [];
    for (let at = begin; at < end; at += mostBuffers * scratchBytes) {
      const count = Math.min(mostBuffers, Math.ceil((end - at) / scratchBytes));
      const buffers = Array.from({ length: count }, (_, index) =>
        all.subarray(0, Math.min(scratchBytes, end - at - index * scratchBytes)),
      );
      pieces.push(handle.readv(buffers, dataStart + at));
    }
    return pieces;
  });
  await attempt(file, Promise.all(calls));
}

async function refuseChanged(file: string, opened: Stats): Promise<void> {
  const now = await stat(file).catch((cause: Error) => {
    throw failure('SAFETENSORS_CHANGED', { file, change: `cannot be found any more (${cause.message})` }, { cause });
  });
  const change = `had ${opened.size} bytes of ${opened.mtime.toISOString()}, and has ${now.size} of ${now.mtime.toISOString()}`;
  if (now.size !== opened.size || now.mtimeMs !== opened.mtimeMs)
    throw failure('SAFETENSORS_CHANGED', { file, change });
}

function widenOf(dtype: ReadableDtype, buffer: ArrayBuffer, count: number, file: string, tensor: string): Values {
  try {
    return widen(dtype, buffer, count);
  } catch (cause) {
    const value = (cause as Error).message;
    throw failure('SAFETENSORS_INTEGER_TOO_LARGE', { file, tensor, value }, { cause });
  }
}

/** Throws SAFETENSORS_TRUNCATED where the file ends before. */
async function readAll(handle: FileHandle, file: string, into: Uint8Array, position: number): Promise<void> {
  const read = await attempt(file, readFully(handle, into, position));
  if (read === into.length) return;
  throw failure('SAFETENSORS_TRUNCATED', { file, size: position + read, needed: position + into.length });
}

async function attempt<Result>(file: string, operation: Promise<Result>): Promise<Result> {
  try {
    return await operation;
  } catch (cause) {
    throw failure('SAFETENSORS_UNREADABLE', { file, reason: (cause as Error).message }, { cause });
  }
}
