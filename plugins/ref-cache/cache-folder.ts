import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, writeSync } from 'node:fs';
import path from 'node:path';
import { failure } from './errors.ts';
import { type CacheRecord, encodeRecord, readRecord, sizeOf } from './records.ts';

const extension = '.segment';

/** Where a record lies: the open file, and its first byte there. */
interface Place {
  readonly file: number;
  readonly at: number;
  readonly end: number;
}

/**
 * Records in a folder, found by key. Everything that is there is read; what is added goes to a file of this process
 * alone, so that processes share a folder without knowing of each other. A record that was not written to its end, or
 * was changed, does not count, nor does what follows it in its file.
 */
export class CacheFolder {
  readonly #directory: string;
  readonly #places = new Map<string, Place>();
  readonly #files: number[] = [];
  #own: { readonly file: number; end: number } | undefined;
  /** Bytes that no whole record holds. */
  droppedBytes = 0;

  /** Opens a folder that exists. */
  constructor(directory: string) {
    this.#directory = directory;
    for (const name of readdirSync(directory).sort()) if (name.endsWith(extension)) this.#scan(name);
  }

  get size(): number {
    return this.#places.size;
  }

  has(key: string): boolean {
    return this.#places.has(key);
  }

  /** The values under a key; `undefined` where there are none, or no longer. */
  read(key: string): Float32Array | undefined {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const record = readRecord(place.file, place.at, place.end);
    if (record?.key === key) return record.values;
    this.#places.delete(key);
    return undefined;
  }

  /** Adds records, all with one write: a process that is killed leaves whole ones and at most one torn. Throws REF_CACHE_UNWRITABLE. */
  append(records: readonly CacheRecord[]): void {
    const fresh = records.filter(({ key }, at) => !this.has(key) && records.findIndex((one) => one.key === key) === at);
    if (fresh.length === 0) return;
    try {
      this.#own ??= { file: this.#open(`${randomUUID()}${extension}`, 'ax+'), end: 0 };
      writeWhole(this.#own.file, Buffer.concat(fresh.map(encodeRecord)));
    } catch (cause) {
      this.#own = undefined; // a torn record would hide what is written after it
      throw failure(
        'REF_CACHE_UNWRITABLE',
        { directory: this.#directory, reason: (cause as Error).message },
        { cause },
      );
    }
    for (const { key, values } of fresh) {
      const at = this.#own.end;
      this.#own.end += sizeOf(values.length);
      this.#places.set(key, { file: this.#own.file, at, end: this.#own.end });
    }
  }

  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file);
    this.#places.clear();
  }

  #scan(name: string): void {
    const file = this.#open(name, 'r');
    const end = fstatSync(file).size;
    let at = 0;
    for (let record = readRecord(file, at, end); record !== undefined; record = readRecord(file, at, end)) {
      this.#places.set(record.key, { file, at, end });
      at += sizeOf(record.values.length);
    }
    this.droppedBytes += end - at;
  }

  #open(name: string, flags: string): number {
    const file = openSync(path.join(this.#directory, name), flags);
    this.#files.push(file);
    return file;
  }
}

function writeWhole(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}
