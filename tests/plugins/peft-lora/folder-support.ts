import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createRandom, openSafetensors } from 'mooring';
import { createDecoder } from '../../../plugins/causal-lm/decoder.ts';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');

/** A PEFT folder of the fixtures, a model folder of theirs. */
export const adapterFolder = (name: string) => path.join(fixtures, 'peft', name);
export const modelFolder = (name: string) => path.join(fixtures, 'models', name);

/** What PEFT computed with each adapter, by its name. */
export const expected: Record<
  string,
  { base: string; max_abs_merged_minus_enabled: number; trainable_parameters: number }
> = JSON.parse(readFileSync(adapterFolder('expected.json'), 'utf8'));

/** The shapes of a model of the fixtures; no weights are read. */
export const shapesOf = (name: string) =>
  createDecoder(modelFolder(name), { initialize: 'weights', random: createRandom(1) });

/** A float32 tensor of a safetensors file. */
export async function readTensor(file: string, name: string): Promise<Float32Array> {
  const source = await openSafetensors(file);
  try {
    return (await source.readTensor(name)) as Float32Array;
  } finally {
    await source.close();
  }
}

/** The largest absolute difference. */
export function distance(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  return Array.from(ours).reduce((most, value, at) => Math.max(most, Math.abs(value - (theirs[at] as number))), 0);
}
