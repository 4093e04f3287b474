import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { adapterFiles, readAdapter } from '../folder/adapter.ts';
import { addsToBase } from '../folder/adds-to-base.ts';
import { checkAdapter } from '../folder/check-adapter.ts';
import type { AdapterConfig } from '../folder/config.ts';
import { lowRanksOf } from '../folder/low-rank.ts';
import { openBase } from '../folder/open-base.ts';
import { resolveTargets, type TargetModel } from '../folder/targets.ts';

/** What `mooring adapter info` says of a PEFT folder. */
export interface AdapterDescription {
  readonly config: AdapterConfig;
  /** Modules that carry LoRA, by the ends of their names: how many, with which ranks and scalings. */
  readonly modules: Readonly<
    Record<string, { readonly count: number; readonly ranks: number[]; readonly scalings: number[] }>
  >;
  /** Keys of trained biases and modules that are saved whole. */
  readonly saved: readonly string[];
  readonly parameters: number;
  /** Of the weights' file. */
  readonly bytes: number;
  /** Whether it changes what its base computes, judged by content; `null` where that takes the base. */
  readonly addsToBase: boolean | null;
}

/**
 * Reads an adapter and says what it is. With a base, it is checked against it too, and biases, whole modules and
 * magnitudes are compared. Throws what `readAdapter`, `resolveTargets`, `checkAdapter` and `openBase` throw.
 */
export async function describeAdapter(
  folder: string,
  against?: { readonly folder: string; readonly model: TargetModel },
): Promise<AdapterDescription> {
  const adapter = await readAdapter(folder);
  const file = join(folder, adapterFiles.weights);
  const updates = [...lowRanksOf(adapter).values()];
  const modules: Record<string, { count: number; ranks: number[]; scalings: number[] }> = {};
  for (const { name, a, scaling } of updates) {
    const end = name.split('.').at(-1) as string;
    const { count, ranks, scalings } = modules[end] ?? { count: 0, ranks: [], scalings: [] };
    modules[end] = {
      count: count + 1,
      ranks: distinct([...ranks, a.shape[0] ?? 0]),
      scalings: distinct([...scalings, scaling]),
    };
  }
  const parameters = [...adapter.tensors.values()].reduce((sum, { values }) => sum + values.length, 0);
  const saved = [...adapter.tensors.keys()].filter((key) => !/\.lora_(A|B|embedding|magnitude)/.test(key));
  const description = { config: adapter.config, modules, saved, parameters, bytes: (await stat(file)).size };
  if (against === undefined) return { ...description, addsToBase: (await addsToBase(adapter)) ?? null };

  const layout = resolveTargets(adapter.config, against.model);
  checkAdapter(adapter, layout, file);
  const base = await openBase(against.folder, against.model);
  try {
    return { ...description, addsToBase: (await addsToBase(adapter, { layout, read: base.read })) ?? null };
  } finally {
    await base.close();
  }
}

/** The description for people. */
export function formatDescription(folder: string, { config, ...found }: AdapterDescription): string {
  const kind = [config.dora ? 'DoRA' : 'LoRA', ...(config.rslora ? ['rank-stabilised'] : [])].join(', ');
  const adds = {
    true: 'yes',
    false: 'no: it computes what its base does',
    null: 'give --model to compare it with its base',
  };
  const lines = [
    ['adapter', folder],
    ['base', config.base ?? 'not named'],
    ['kind', `${kind}, r ${config.r}, alpha ${config.alpha}, dropout ${config.dropout}, bias ${config.bias}`],
    ...Object.entries(found.modules).map(([name, { count, ranks, scalings }]) => [
      name,
      `${count} modules, rank ${ranks.join(', ')}, scaling ${scalings.map((each) => Number(each.toPrecision(6))).join(', ')}`,
    ]),
    ...(found.saved.length > 0 ? [['whole', found.saved.join(', ')]] : []),
    ['parameters', `${found.parameters} in ${found.bytes} bytes`],
    ['adds', adds[`${found.addsToBase}`]],
  ];
  const width = Math.max(...lines.map(([name = '']) => name.length));
  return lines.map(([name = '', text]) => `${name.padEnd(width)}  ${text}\n`).join('');
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)].sort((one, other) => one - other);
}
