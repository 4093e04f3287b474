import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensors, writeFileAside, writeFolderAside, writeSafetensors } from 'mooring';
import { type AdapterConfig, formatConfig, parseConfig } from './config.ts';
import { failure } from './errors.ts';

/** A tensor in float32, row by row. */
export interface AdapterTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** A PEFT adapter in memory. Tensors have PEFT's keys less `base_model.model.`: `model.layers.0.self_attn.q_proj.lora_A.weight`. */
export interface Adapter {
  readonly config: AdapterConfig;
  readonly tensors: ReadonlyMap<string, AdapterTensor>;
}

/** The files of a PEFT folder. */
export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors' } as const;

/**
 * Reads a PEFT folder; float16 and bfloat16 become float32. Whether its tensors fit a model is `resolveTargets` and
 * `checkAdapter`'s to say. Throws ADAPTER_FILE_MISSING, ADAPTER_CONFIG_MALFORMED, ADAPTER_CONFIG_INVALID,
 * ADAPTER_FEATURE_UNSUPPORTED, ADAPTER_TENSOR_INTEGER and the errors of safetensors files.
 */
export async function readAdapter(folder: string): Promise<Adapter> {
  const config = await readAdapterConfig(folder);
  const file = join(folder, adapterFiles.weights);
  await stat(file).catch((cause: Error) => {
    throw failure('ADAPTER_FILE_MISSING', { file, reason: cause.message }, { cause });
  });
  const source = await openSafetensors(file);
  try {
    const tensors = new Map<string, AdapterTensor>();
    for (const [key, { shape }] of source.entries) {
      const values = await source.readTensor(key);
      if (values instanceof Int32Array) throw failure('ADAPTER_TENSOR_INTEGER', { file, key });
      tensors.set(key.startsWith(prefix) ? key.slice(prefix.length) : key, { shape, values });
    }
    return { config, tensors };
  } finally {
    await source.close();
  }
}

/** Reads and checks the config alone. Throws as `readAdapter` does. */
export async function readAdapterConfig(folder: string): Promise<AdapterConfig> {
  const file = join(folder, adapterFiles.config);
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw failure('ADAPTER_FILE_MISSING', { file, reason: cause.message }, { cause });
  });
  return parseConfig(parseObject(text, file), file);
}

/**
 * Writes a folder that PEFT loads: adapter_config.json and adapter_model.safetensors in float32, as PEFT 0.21 writes
 * them. It appears whole or not at all. Throws DISK_FULL and WRITE_FAILED.
 */
export async function writeAdapter(folder: string, { config, tensors }: Adapter): Promise<void> {
  await writeFolderAside(folder, async (temporary) => {
    const specs = [...tensors].map(([key, { shape }]) => ({ name: prefix + key, shape, dtype: 'float32' as const }));
    const valuesOf = (name: string) => (tensors.get(name.slice(prefix.length)) as AdapterTensor).values;
    await writeSafetensors(join(temporary, adapterFiles.weights), specs, valuesOf);
    const json = JSON.stringify(formatConfig(config), null, 2);
    await writeFileAside(join(temporary, adapterFiles.config), (handle) => handle.writeFile(json));
  });
}

const prefix = 'base_model.model.';

function parseObject(text: string, file: string): Record<string, unknown> {
  const malformed = (reason: string, cause?: unknown) =>
    failure('ADAPTER_CONFIG_MALFORMED', { file, reason }, { cause });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw malformed((cause as Error).message, cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw malformed('it holds another value');
  return json as Record<string, unknown>;
}
