import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import type { Values } from '../parameters/safetensors/dtype.ts';
import type { TensorSpec } from '../parameters/safetensors/layout.ts';
import { openSafetensors } from '../parameters/safetensors/reader.ts';
import { writeSafetensors } from '../parameters/safetensors/writer.ts';

/** A tensor that is to be written, read only when its turn comes. */
export interface TensorEntry extends TensorSpec {
  readonly values: () => Promise<Values>;
}

/** The file of a plugin's tensors; a plugin's name may be a path. */
export function partFile(part: string): string {
  return `plugin-${encodeURIComponent(part)}.safetensors`;
}

/** An entry of a tensor whose values come from `read`; what that makes is freed. */
export function lazyEntry(name: string, shape: readonly number[], read: () => tf.Tensor): TensorEntry {
  const values = async () => {
    const tensor = read();
    return (await tensor.data().finally(() => tensor.dispose())) as Values;
  };
  return { name, shape, dtype: 'float32', values };
}

/** An entry of a tensor that stays the caller's until the file is written. */
export function entryOf(name: string, tensor: tf.Tensor): TensorEntry {
  const dtype = tensor.dtype === 'int32' ? 'int32' : 'float32';
  return { name, shape: tensor.shape, dtype, values: () => tensor.data() as Promise<Values> };
}

/** Writes a safetensors file; none where there is no tensor. */
export async function writeTensorFile(file: string, entries: readonly TensorEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  await writeSafetensors(file, entries, (name) => (byName.get(name) as TensorEntry).values());
}

/** Reads the tensors of a file, one at a time; none where there is no file. The caller disposes them. */
export async function* readTensorFile(file: string): AsyncGenerator<readonly [name: string, value: tf.Tensor]> {
  if (!existsSync(file)) return;
  const source = await openSafetensors(file);
  try {
    for (const [name, { dtype, shape }] of source.entries) {
      const values = await source.readTensor(name);
      yield [name, tf.tensor(values, [...shape], dtype === 'I32' ? 'int32' : 'float32')];
    }
  } finally {
    await source.close();
  }
}

/** The names of the tensors of a file. */
export async function namesInTensorFile(file: string): Promise<readonly string[]> {
  if (!existsSync(file)) return [];
  const source = await openSafetensors(file);
  return source.close().then(() => [...source.entries.keys()]);
}
