import { access, copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { tokenizerFiles, writeFileAside, writeFolderAside, writeSafetensors } from 'mooring';
import { type Adapter, adapterFiles, readAdapter } from '../folder/adapter.ts';
import { checkAdapter, refuseChangedBase } from '../folder/check-adapter.ts';
import { failure } from '../folder/errors.ts';
import { type LowRank, lowRanksOf, mergedWeight } from '../folder/low-rank.ts';
import { type Base, openBase } from '../folder/open-base.ts';
import { type AdapterLayout, prefixOf, resolveTargets, type TargetModel } from '../folder/targets.ts';

/** A type that a merged model is stored in. */
export type MergedDtype = 'float32' | 'bfloat16' | 'float16';

/** What to merge, and where to. */
export interface Merge {
  /** The base's Hugging Face folder, and its shapes. */
  readonly folder: string;
  readonly model: TargetModel;
  /** A PEFT folder. */
  readonly adapter: string;
  readonly output: string;
  /** Default: each parameter as the base stores it. */
  readonly dtype?: MergedDtype | undefined;
}

/**
 * Writes the base with an adapter in it as a plain Hugging Face folder: config.json, model.safetensors and the base's
 * tokenizer files. Arithmetic is in float32; one weight is in memory at a time. Where the adapter makes a tied head and
 * its embedding differ, the head is written for itself and config.json says so. Returns what the adapter was.
 * Throws ADAPTER_OUTPUT_TAKEN, ADAPTER_BASE_CHANGED, and what `readAdapter`, `resolveTargets`, `checkAdapter`, `openBase`
 * and writing throw.
 */
export async function writeMergedModel({ folder, model, adapter: from, output, dtype }: Merge): Promise<AdapterLayout> {
  await refuseTaken(output);
  const adapter = await readAdapter(from);
  refuseChangedBase(adapter.config, from);
  const layout = resolveTargets(adapter.config, model);
  checkAdapter(adapter, layout, join(from, adapterFiles.weights));
  const base = await openBase(folder, model);
  try {
    const weights = new Map(mergedWeights(model, adapter, layout, base).map((each) => [each.name, each]));
    const specs = [...weights.values()].map((each) => ({ ...each, dtype: dtype ?? base.storedDtype(each.parameter) }));
    await mkdir(dirname(output), { recursive: true });
    await writeFolderAside(output, async (temporary) => {
      await writeSafetensors(join(temporary, 'model.safetensors'), specs, (name) =>
        mergedValue(weights.get(name), base),
      );
      const json = await configOf(folder, { dtype, isUntied: specs.some(({ isUntied }) => isUntied) });
      await writeFileAside(join(temporary, 'config.json'), (handle) => handle.writeFile(json));
      for (const name of [...tokenizerFiles, 'generation_config.json'])
        await copyIfThere(join(folder, name), temporary);
    });
    return layout;
  } finally {
    await base.close();
  }
}

/** A tensor of the merged model: the base's value, or the adapter's own, then its low-rank update. */
interface MergedWeight {
  readonly name: string;
  readonly parameter: string;
  readonly shape: readonly number[];
  readonly isUntied: boolean;
  readonly own?: Float32Array | undefined;
  readonly update?: LowRank | undefined;
  readonly layout: 'out,in' | 'in,out';
}

function mergedWeights(model: TargetModel, adapter: Adapter, layout: AdapterLayout, base: Base): MergedWeight[] {
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  const updates = lowRanksOf(adapter);
  const copies = [...layout.saved, ...layout.baseCopies].filter(({ key }) => adapter.tensors.has(key));
  const places = model.blocks.flatMap((block) =>
    Object.entries(block.parameters).map(([local, parameter]) => {
      const key = prefixOf(block) + local;
      const copy = copies.find((each) => each.block === block.name && each.local === local);
      const target = layout.targets.find((each) => each.block === block.name && `${each.name}.weight` === key);
      const own = copy === undefined ? undefined : adapter.tensors.get(copy.key)?.values;
      const update = target === undefined ? undefined : updates.get(target.name);
      return {
        key,
        parameter,
        own,
        update,
        layout: target?.layout ?? 'out,in',
        isChanged: (own ?? update) !== undefined,
      };
    }),
  );
  const changed = new Set(places.flatMap(({ isChanged, parameter }) => (isChanged ? [parameter] : [])));
  const owners = new Set<string>();
  return places.flatMap(({ key, parameter, ...place }) => {
    const isTied = owners.has(parameter);
    owners.add(parameter);
    if (isTied && !changed.has(parameter)) return [];
    const name = isTied ? key : base.storedName(parameter);
    return [{ ...place, name, parameter, isUntied: isTied, shape: shapes.get(parameter) ?? [] }];
  });
}

async function mergedValue(weight: MergedWeight | undefined, base: Base): Promise<Float32Array> {
  const { own, parameter, update, layout } = weight as MergedWeight;
  const value = own ?? (await base.read(parameter));
  return update === undefined ? value : mergedWeight(value, update, layout);
}

async function configOf(
  folder: string,
  { dtype, isUntied }: { readonly dtype: MergedDtype | undefined; readonly isUntied: boolean },
): Promise<string> {
  const raw = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
  // files before transformers 5 call it `torch_dtype`
  const key = raw.torch_dtype === undefined ? 'dtype' : 'torch_dtype';
  const changes = { ...(dtype && { [key]: dtype }), ...(isUntied && { tie_word_embeddings: false }) };
  return `${JSON.stringify({ ...raw, ...changes }, null, 2)}\n`;
}

async function copyIfThere(file: string, folder: string): Promise<void> {
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (isThere) await copyFile(file, join(folder, basename(file)));
}

/** A folder is written as a whole and would take the place of what is there. */
async function refuseTaken(output: string): Promise<void> {
  const names = await readdir(output).catch(({ code }: NodeJS.ErrnoException) => (code === 'ENOENT' ? [] : ['']));
  if (names.length > 0) throw failure('ADAPTER_OUTPUT_TAKEN', { output });
}
