import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Collectives, Range } from '../collectives/collectives.ts';
import { gatherTexts } from '../collectives/gather-texts.ts';
import { announced } from '../collectives/together.ts';
import type { Values } from '../parameters/safetensors/dtype.ts';
import type { TensorEntry } from '../parameters/safetensors/header.ts';
import { openSafetensors, type Safetensors } from '../parameters/safetensors/reader.ts';

/** The files of a checkpoint, to be read by every rank in the same order. */
export interface FolderOfRanks {
  readonly folder: string;
  /** A file's text. */
  text(name: string): Promise<string>;
  /** A file's tensors; undefined where there is no such file. */
  open(name: string): Promise<OpenTensors | undefined>;
}

/** Tensors of which every rank reads a part, in the same order. */
export interface OpenTensors {
  readonly entries: ReadonlyMap<string, Pick<TensorEntry, 'dtype' | 'shape'>>;
  /** Values of a range in pieces, each of which is overwritten when the next is asked for. */
  read(name: string, range: Range): AsyncIterable<Values>;
  close(): Promise<void>;
}

/** Opens a folder that the first rank has: the others read there what they need, or, where one cannot, get it from the first. */
export async function openFolder(folder: string, collectives: Collectives): Promise<FolderOfRanks> {
  // the manifest has the digests of all files: a host may have another folder of the same name
  const manifest = await readFile(path.join(folder, 'manifest.json'), 'utf8').catch(() => 'none');
  const answers = await gatherTexts(
    collectives,
    createHash('sha256').update(manifest).digest('hex'),
    'which checkpoint',
  );
  if (answers.every((answer) => answer === answers[0])) return seenByAll(folder);
  return toldByFirst(folder, collectives);
}

function seenByAll(folder: string): FolderOfRanks {
  return {
    folder,
    text: (name) => readFile(path.join(folder, name), 'utf8'),
    async open(name) {
      const source = await openIn(folder, name);
      return source && { entries: source.entries, read: source.readPieces, close: source.close };
    },
  };
}

function toldByFirst(folder: string, collectives: Collectives): FolderOfRanks {
  return {
    folder,
    text: (name) => announced(collectives, name, () => readFile(path.join(folder, name), 'utf8')),
    async open(name) {
      let source: Safetensors | undefined;
      const told = await announced(collectives, `what is in ${name}`, async () => {
        source = await openIn(folder, name);
        return source === undefined ? '' : JSON.stringify([...source.entries]);
      });
      if (told === '') return undefined;
      const entries = new Map(JSON.parse(told) as [string, TensorEntry][]);
      return {
        entries,
        read: (tensor, range) =>
          broadcastPieces(collectives, source, tensor, entries.get(tensor) as TensorEntry, range),
        close: async () => source?.close(),
      };
    },
  };
}

/** How many values go from the first rank to the others at a time. */
const pieceElements = 2 ** 20;

/** All of a tensor goes to all ranks, piece by piece, and each keeps what it has asked for. */
async function* broadcastPieces(
  collectives: Collectives,
  source: Safetensors | undefined,
  tensor: string,
  { dtype, shape }: Pick<TensorEntry, 'dtype' | 'shape'>,
  { begin, end }: Range,
): AsyncGenerator<Values> {
  const elements = shape.reduce((product, size) => product * size, 1);
  for (let at = 0; at < elements; at += pieceElements) {
    const last = Math.min(elements, at + pieceElements);
    const bytes = new Uint8Array(4 * (last - at));
    for await (const { buffer, byteOffset, byteLength } of source?.readPieces(tensor, { begin: at, end: last }) ?? [])
      bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
    const { buffer } = (await collectives.broadcast(bytes, 0, tensor)).slice();
    const values = dtype.startsWith('I') ? new Int32Array(buffer) : new Float32Array(buffer);
    const part = values.subarray(Math.max(0, begin - at), Math.max(0, end - at));
    if (part.length > 0) yield part;
  }
}

async function openIn(folder: string, name: string): Promise<Safetensors | undefined> {
  const file = path.join(folder, name);
  return existsSync(file) ? openSafetensors(file) : undefined;
}
