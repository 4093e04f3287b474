import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { failure } from './errors.ts';
import type { TensorEntry } from './header.ts';
import { openSafetensors, type Safetensors, type TensorSource } from './reader.ts';

const indexSchema = z.object({
  weight_map: z.record(
    z.string(),
    z.string().refine((shard) => basename(shard) === shard && shard !== '..', 'a shard is not a plain file name'),
  ),
});

/**
 * Opens the weights of a Hugging Face folder: `model.safetensors`, or the shards of `model.safetensors.index.json`.
 * Every header is checked here. Throws the `WEIGHTS_...` and `SAFETENSORS_...` errors.
 */
export async function openWeights(folder: string): Promise<TensorSource> {
  const single = join(folder, 'model.safetensors');
  if (await exists(single)) return openSafetensors(single);
  const index = join(folder, 'model.safetensors.index.json');
  if (await exists(index)) return openShards(folder, index, await readIndex(index));
  throw failure('WEIGHTS_MISSING', { folder });
}

async function openShards(folder: string, index: string, shardOf: ReadonlyMap<string, string>): Promise<TensorSource> {
  const shards = new Map<string, Safetensors>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const shard of new Set(shardOf.values())) {
      const file = join(folder, shard);
      if (!(await exists(file))) throw failure('WEIGHTS_SHARD_MISSING', { file: index, shard });
      shards.set(shard, await openSafetensors(file));
    }
    const entries = new Map<string, TensorEntry>();
    for (const [tensor, shard] of shardOf) {
      const entry = shards.get(shard)?.entries.get(tensor);
      if (entry === undefined) throw failure('WEIGHTS_SHARD_LACKS', { file: index, tensor, shard });
      entries.set(tensor, entry);
    }
    const all = (each: (shard: Safetensors) => Promise<void>) => Promise.all([...shards.values()].map(each));
    return {
      entries,
      close,
      readTensor: (name) => sourceOf(name).readTensor(name),
      readPieces: (name, range) => sourceOf(name).readPieces(name, range),
      prefetch: async (names, ranges) =>
        void (await all((shard) =>
          shard.prefetch(
            names.filter((name) => sourceOf(name) === shard),
            ranges,
          ),
        )),
      refuseChanged: async () => void (await all((shard) => shard.refuseChanged())),
    };
  } catch (error) {
    await close();
    throw error;
  }

  // a name that the index lacks is refused by any shard, with the nearest name there
  function sourceOf(name: string): Safetensors {
    const shard = shardOf.get(name) ?? [...shards.keys()][0] ?? '';
    return shards.get(shard) as Safetensors;
  }
}

async function readIndex(file: string): Promise<ReadonlyMap<string, string>> {
  const malformed = (reason: string, cause?: unknown) =>
    failure('WEIGHTS_INDEX_MALFORMED', { file, reason }, { cause });
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw malformed((cause as Error).message, cause);
  }
  const parsed = indexSchema.safeParse(json);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error));
  const shardOf = new Map(Object.entries(parsed.data.weight_map));
  if (shardOf.size === 0) throw malformed('its weight_map is empty');
  return shardOf;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
