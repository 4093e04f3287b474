import * as tf from '@tensorflow/tfjs';
import type { Range } from '../collectives/collectives.ts';
import type { Values } from '../parameters/safetensors/dtype.ts';
import type { TensorSpec } from '../parameters/safetensors/layout.ts';
import { type TensorPart, writeSafetensorsTogether } from '../parameters/safetensors/write-together.ts';
import { tensorOfPieces } from '../parameters/tensor-of-pieces.ts';
import type { Writers } from '../parameters/writeAside.ts';
import type { FolderOfRanks, OpenTensors } from './folder-of-ranks.ts';

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
 * there is no file. The caller disposes them. Every rank calls it.
 */
export async function* readTensorFile(
  folder: FolderOfRanks,
  file: string,
  rangeOf: (name: string, shape: readonly number[]) => Range | undefined,
): AsyncGenerator<readonly [name: string, value: tf.Tensor]> {
  const source = await folder.open(file);
  try {
    for (const [name, { dtype, shape }] of source?.entries ?? []) {
      const elements = shape.reduce((product, size) => product * size, 1);
      const range = rangeOf(name, shape);
      const pieces = (source as OpenTensors).read(name, range ?? { begin: 0, end: elements });
      const found = range === undefined ? [...shape] : [range.end - range.begin];
      yield [name, dtype === 'F32' ? await tensorOfPieces(found, pieces) : await integers(found, pieces)];
    }
  } finally {
    await source?.close();
  }
}

/** The names of the tensors of a file. */
export async function namesInTensorFile(folder: FolderOfRanks, file: string): Promise<readonly string[]> {
  const source = await folder.open(file);
  await source?.close();
  return [...(source?.entries.keys() ?? [])];
}

async function integers(shape: number[], pieces: AsyncIterable<Values>): Promise<tf.Tensor> {
  const values = new Int32Array(shape.reduce((product, size) => product * size, 1));
  let at = 0;
  for await (const piece of pieces) {
    values.set(piece, at);
    at += piece.length;
  }
  return tf.tensor(values, shape, 'int32');
}
