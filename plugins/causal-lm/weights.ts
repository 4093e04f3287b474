import type * as tf from '@tensorflow/tfjs';
import { closest } from 'fastest-levenshtein';
import {
  alone,
  Fingerprint,
  mergeFingerprints,
  openWeights,
  type ParameterSpec,
  type Range,
  type Ranges,
  rangeOf,
  type StoredWeights,
  tensorOfPieces,
} from 'mooring';
import type { DecoderConfig } from './config.ts';
import { failure } from './errors.ts';

/**
 * Opens the weights of a folder: each is read by its byte range when it is asked for. Every name and shape is checked now.
 * Throws `MODEL_WEIGHT_MISSING`, `MODEL_WEIGHT_UNEXPECTED`, `MODEL_WEIGHT_MISSHAPEN`, `MODEL_WEIGHT_INTEGER` and the errors of
 * safetensors files.
 */
export async function openModelWeights(
  folder: string,
  config: DecoderConfig,
  specs: readonly ParameterSpec[],
): Promise<StoredWeights> {
  const source = await openWeights(folder);
  try {
    const stored = [...source.entries.keys()];
    const names = new Map(specs.map(({ name }) => [name, storedName(folder, config, name, stored, specs)]));
    refuseUnexpected(folder, config, stored, names);
    for (const { name, shape } of specs) {
      const entry = source.entries.get(names.get(name) as string);
      const [expected, actual] = [shape.join(', '), entry?.shape.join(', ') ?? ''];
      if (expected !== actual) throw failure('MODEL_WEIGHT_MISSHAPEN', { folder, name, actual, expected });
      const dtype = entry?.dtype ?? '';
      if (/^[IU]/.test(dtype)) throw failure('MODEL_WEIGHT_INTEGER', { folder, name, dtype });
    }
    const pieces = (name: string, range: Range) =>
      source.readPieces(names.get(name) as string, range) as AsyncIterable<Float32Array>;
    const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
    return {
      async *read(wanted, ranges) {
        await source.refuseChanged();
        for (const name of wanted) {
          const shape = shapes.get(name) ?? [];
          const all = { begin: 0, end: elementsOf(shape) };
          const range = ranges?.(name) ?? all;
          const length = range.end - range.begin;
          yield [name, await tensorOfPieces(length === all.end ? shape : [length], pieces(name, range))];
        }
      },
      async fingerprint(collectives = alone) {
        const fingerprint = new Fingerprint();
        for (const { name, shape } of specs) {
          const range = rangeOf(elementsOf(shape), collectives.rank, collectives.ranks);
          await fingerprint.add(name, shape, pieces(name, range), range.begin);
        }
        await mergeFingerprints(collectives, fingerprint);
        return fingerprint.value;
      },
      async prefetch(wanted, ranges) {
        const parameters = new Map(wanted.map((name) => [names.get(name) as string, name]));
        await source.prefetch([...parameters.keys()], (stored) => ranges?.(parameters.get(stored) as string));
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Reads all of them, or of each a range, one at a time. Throws what `openModelWeights` does. */
export async function* readWeights(
  folder: string,
  config: DecoderConfig,
  specs: readonly ParameterSpec[],
  ranges?: Ranges,
): AsyncGenerator<readonly [name: string, value: tf.Tensor]> {
  const weights = await openModelWeights(folder, config, specs);
  try {
    yield* weights.read(
      specs.map(({ name }) => name),
      ranges,
    );
  } finally {
    await weights.close();
  }
}

/** The type that a folder's weights are stored in, as config.json names it. */
export async function storedDtype(folder: string): Promise<'float32' | 'bfloat16' | 'float16'> {
  const source = await openWeights(folder);
  const stored = [...source.entries.values()].find(({ shape }) => shape.length > 1)?.dtype;
  await source.close();
  return stored === 'BF16' ? 'bfloat16' : stored === 'F16' ? 'float16' : 'float32';
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Base-model checkpoints, and those of gpt2's authors, leave the family's prefix out. */
function storedName(
  folder: string,
  { family }: DecoderConfig,
  name: string,
  stored: readonly string[],
  specs: readonly ParameterSpec[],
): string {
  if (stored.includes(name)) return name;
  const short = name.startsWith(family.prefix) ? name.slice(family.prefix.length) : name;
  if (stored.includes(short)) return short;
  // a misspelt one is among those that no parameter claims
  const unclaimed = stored.filter((each) => !specs.some((spec) => spec.name === each));
  const nearest = closest(name, unclaimed.length > 0 ? unclaimed : stored);
  throw failure('MODEL_WEIGHT_MISSING', { folder, name, nearest });
}

function refuseUnexpected(
  folder: string,
  { family, isTied }: DecoderConfig,
  stored: readonly string[],
  names: ReadonlyMap<string, string>,
): void {
  const expected = new Set(names.values());
  for (const name of stored) {
    if (expected.has(name) || family.ignorable.test(name)) continue;
    // a tied head is saved a second time by some tools
    if (isTied && name === `${family.head}.weight`) continue;
    throw failure('MODEL_WEIGHT_UNEXPECTED', { folder, name, nearest: closest(name, [...names.keys()]) });
  }
}
