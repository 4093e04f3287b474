import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';

/** What one sequence has under one key, as it lies on disk. */
export interface CacheRecord {
  /** SHA-256 in hexadecimal. */
  readonly key: string;
  readonly values: Float32Array;
}

const headerBytes = 44;
const digestBytes = 8;

/**
 * A record's bytes: the count of values (uint32), eight bytes of the SHA-256 of the rest, the key (32 bytes), and the
 * values (float32), everything little-endian.
 */
export function encodeRecord({ key, values }: CacheRecord): Uint8Array {
  const bytes = Buffer.alloc(sizeOf(values.length));
  bytes.writeUInt32LE(values.length, 0);
  bytes.write(key, 12, 'hex');
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), headerBytes);
  bytes.set(digestOf(bytes), 4);
  return bytes;
}

/** The record at a place of an open file of `end` bytes; `undefined` where there is no whole one. */
export function readRecord(file: number, at: number, end: number): CacheRecord | undefined {
  if (at + headerBytes > end) return undefined;
  const header = Buffer.alloc(4);
  readSync(file, header, 0, 4, at);
  const size = sizeOf(header.readUInt32LE(0));
  if (at + size > end) return undefined;
  const bytes = Buffer.alloc(size);
  if (readSync(file, bytes, 0, size, at) < size) return undefined;
  const digest = bytes.subarray(4, 4 + digestBytes);
  if (!digest.equals(digestOf(bytes))) return undefined;
  const values = new Float32Array(new Uint8Array(bytes.subarray(headerBytes)).buffer);
  return { key: bytes.toString('hex', 12, headerBytes), values };
}

/** Bytes of a record with so many values. */
export function sizeOf(count: number): number {
  return headerBytes + 4 * count;
}

function digestOf(record: Uint8Array): Uint8Array {
  const hash = createHash('sha256')
    .update(record.subarray(0, 4))
    .update(record.subarray(4 + digestBytes));
  return hash.digest().subarray(0, digestBytes);
}
