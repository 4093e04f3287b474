import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { readFully } from 'mooring';
import { filesOf } from '../share/files-of.ts';

const headBytes = 2 ** 20;
const samples = 256;
const sampleBytes = 4096;

/**
 * A digest of each file that a run reads of a model's folder, by a field: of its size, its beginning, where the header of
 * a safetensors file is, and of samples all over it: training changes every weight, and reading all of a model on every
 * rank would take as long as loading it once for each. None for what is no folder.
 */
export async function digestsOf(folder: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const name of await filesOf(folder)) {
    const handle = await open(path.join(folder, name));
    try {
      digests[`file ${name}`] = await digestOf(handle);
    } finally {
      await handle.close();
    }
  }
  return digests;
}

async function digestOf(handle: FileHandle): Promise<string> {
  const { size } = await handle.stat();
  const hash = createHash('sha256');
  const read = async (position: number, length: number) => {
    const piece = Buffer.alloc(length);
    hash.update(piece.subarray(0, await readFully(handle, piece, position)));
  };
  await read(0, Math.min(size, headBytes));
  const last = size - sampleBytes;
  for (let index = 0; last > headBytes && index < samples; index++)
    await read(Math.floor(headBytes + ((last - headBytes) * index) / (samples - 1)), sampleBytes);
  return `${size} bytes, ${hash.digest('hex').slice(0, 12)}`;
}
