import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import type { Range } from '../collectives/collectives.ts';
import type { TensorSpec } from '../parameters/safetensors/layout.ts';
import { openSafetensors } from '../parameters/safetensors/reader.ts';
import { type TensorPart, writeSafetensorsTogether } from '../parameters/safetensors/write-together.ts';
import { tensorOfPieces } from '../parameters/tensor-of-pieces.ts';
import type { Writers } from '../parameters/writeAside.ts';

/** A tensor that is to be written: its whole shape, and what this rank has of it, read only when its turn comes. */
export interface TensorEntry extends TensorSpec {
  readonly part: TensorPart;
}

/** The file of a plugin's tensors; a plugin's name may be a path. */
export function partFile(part: string): string {
  return `plugin-${encodeURIComponent(part)}.safetensors`;
}

/** Writes a safetensors file, every rank its parts; none where there is no tensor. */
export async function writeTensorFile(file: string, entries: readonly TensorEntry[], writers: Writers): Promise<void> {
  if (entries.length === 0) return;
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  await writeSafetensorsTogether(file, entries, (name) => (byName.get(name) as TensorEntry).part, writers);
}

/**
 * Reads the tensors of a file, one at a time, and of those of which `rangeOf` names a part only that, flat; none where
 * there is no file. The caller disposes them.
 */
export async function* readTensorFile(
  file: string,
  rangeOf: (name: string, shape: readonly number[]) => Range | undefined,
): AsyncGenerator<readonly [name: string, value: tf.Tensor]> {
  if (!existsSync(file)) return;
  const source = await openSafetensors(file);
  try {
    for (const [name, { dtype, shape }] of source.entries) {
      const range = rangeOf(name, shape);
      if (range === undefined) {
        const values = await source.readTensor(name);
        yield [name, tf.tensor(values, [...shape], dtype === 'I32' ? 'int32' : 'float32')];
      } else {
        const pieces = source.readPieces(name, range) as AsyncIterable<Float32Array>;
        yield [name, await tensorOfPieces([range.end - range.begin], pieces)];
      }
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
