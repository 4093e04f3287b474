import type { FileHandle } from 'node:fs/promises';
import { writeFileAside } from '../writeAside.ts';
import { bytesOf, type Dtype, toBfloat16, toFloat16, type Values } from './dtype.ts';
import { failure } from './errors.ts';
import { formatHeader, type TensorEntry } from './header.ts';

/** A data type that Mooring writes. */
export type WritableDtype = 'float32' | 'bfloat16' | 'float16' | 'int32';

/** A tensor to write. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: WritableDtype;
  readonly shape: readonly number[];
}

const storedAs: Record<WritableDtype, Dtype> = { float32: 'F32', bfloat16: 'BF16', float16: 'F16', int32: 'I32' };

/**
 * Writes a safetensors file: its header from `specs`, then one tensor after another, each asked of `read` when its turn
 * comes, whole or in pieces. Values are rounded to nearest, ties to even. Order and bytes are those of the safetensors
 * library, whatever the order of `specs`. Throws `DISK_FULL` or `WRITE_FAILED`, an older file intact, and
 * `SAFETENSORS_VALUES_MISFIT`.
 */
export async function writeSafetensors(
  file: string,
  specs: readonly TensorSpec[],
  read: (name: string) => Values | Promise<Values> | AsyncIterable<Values>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Promise<void> {
  // the wider type first keeps every tensor aligned
  const ordered = specs.toSorted((one, other) => rank(one) - rank(other) || compareNames(one.name, other.name));
  const entries = new Map<string, TensorEntry>();
  let begin = 0;
  for (const { name, dtype, shape } of ordered) {
    const stored = storedAs[dtype];
    const end = begin + shape.reduce((product, size) => product * size, bytesOf(stored));
    entries.set(name, { dtype: stored, shape, begin, end });
    begin = end;
  }
  await writeFileAside(file, async (handle) => {
    await handle.writeFile(formatHeader({ entries, metadata }));
    for (const spec of ordered) {
      const given = await read(spec.name);
      let count = 0;
      let isInteger = false;
      for await (const values of Symbol.asyncIterator in given ? given : [given]) {
        await writeValues(handle, spec.dtype, values);
        count += values.length;
        isInteger ||= values instanceof Int32Array;
      }
      refuseMisfit(file, spec, count, isInteger);
    }
  });
}

async function writeValues(handle: FileHandle, dtype: WritableDtype, values: Values): Promise<void> {
  if (values instanceof Int32Array || dtype === 'float32') return handle.writeFile(bytesOfArray(values));
  const narrow = dtype === 'bfloat16' ? toBfloat16 : toFloat16;
  const pieceElements = 2 ** 20;
  for (let at = 0; at < values.length; at += pieceElements) {
    await handle.writeFile(bytesOfArray(narrow(values.subarray(at, at + pieceElements))));
  }
}

function refuseMisfit(file: string, { name, dtype, shape }: TensorSpec, count: number, isInteger: boolean): void {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (count === elements && isInteger === (dtype === 'int32')) return;
  const kind = isInteger ? 'int32' : 'float32';
  throw failure('SAFETENSORS_VALUES_MISFIT', { file, tensor: name, dtype, shape: shape.join(', '), count, kind });
}

function bytesOfArray({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function rank({ dtype }: TensorSpec): number {
  return ['float32', 'int32', 'bfloat16', 'float16'].indexOf(dtype);
}

/** By UTF-8 bytes, as the safetensors library sorts. */
function compareNames(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
