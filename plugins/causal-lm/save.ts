import { access, copyFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type Collectives,
  type ParameterSpec,
  type TensorPart,
  tokenizerFiles,
  type Writers,
  writeFileAside,
  writeFolderAside,
  writeSafetensorsTogether,
} from 'mooring';
import type { DecoderConfig } from './config.ts';

/** What is saved, beside the weights themselves. */
export interface SavedModel {
  /** The folder that the model was read from. */
  readonly source: string;
  readonly config: DecoderConfig;
  readonly parameters: readonly ParameterSpec[];
  readonly dtype: 'float32' | 'bfloat16' | 'float16';
  /** Absolute paths of files to copy; default: those of the source folder. */
  readonly tokenizerFiles?: readonly string[] | undefined;
  /** What this rank writes of a parameter. */
  part(name: string): TensorPart;
}

/**
 * Writes a Hugging Face folder that transformers loads: config.json as it was read but for its dtype, model.safetensors,
 * tokenizer files and generation_config.json. It appears whole or not at all. Of several ranks every one calls it, and writes
 * its part of the weights. Throws `DISK_FULL`, `WRITE_FAILED` and `RANK_FAILED`.
 */
export async function saveModel(folder: string, model: SavedModel, collectives: Collectives): Promise<void> {
  const { source, config, parameters, dtype } = model;
  const fill = async (temporary: string, writers: Writers) => {
    const specs = parameters.map(({ name, shape }) => ({ name, shape, dtype }));
    await writeSafetensorsTogether(join(temporary, 'model.safetensors'), specs, (name) => model.part(name), writers);
    if (collectives.rank > 0) return;
    const json = `${JSON.stringify(withDtype(config.raw, dtype), null, 2)}\n`;
    await writeFileAside(join(temporary, 'config.json'), (handle) => handle.writeFile(json));
    const files = model.tokenizerFiles ?? (await present(tokenizerFiles.map((name) => join(source, name))));
    for (const file of [...files, ...(await present([join(source, 'generation_config.json')]))]) {
      await copyFile(file, join(temporary, basename(file)));
    }
  };
  await writeFolderAside(folder, fill, collectives);
}

/** Files before transformers 5 call it `torch_dtype`. */
function withDtype(raw: Readonly<Record<string, unknown>>, dtype: string): Record<string, unknown> {
  const key = raw.torch_dtype === undefined ? 'dtype' : 'torch_dtype';
  return { ...raw, [key]: dtype };
}

async function present(files: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    files.map((file) =>
      access(file)
        .then(() => [file])
        .catch(() => []),
    ),
  );
  return found.flat();
}
