import type { Adapter } from './adapter.ts';
import { lowRanksOf, outputNorms, updateRows } from './low-rank.ts';
import type { AdapterLayout } from './targets.ts';

/** What an adapter is compared with, where its own content does not tell. */
export interface BaseOfAdapter {
  readonly layout: AdapterLayout;
  /** The value of the base's parameter. */
  read(parameter: string): Promise<Float32Array>;
}

/**
 * Whether an adapter changes what its base computes, judged by its content: whether any product `B A` has a value other
 * than 0, any trained bias or whole module differs from the base's, or, with DoRA, any magnitude from the norm of the
 * base's weight (relatively, by more than a float32 sum is off: 1e-5). `undefined` where that takes the base, and none
 * was given.
 */
export async function addsToBase(adapter: Adapter, base?: BaseOfAdapter): Promise<boolean | undefined> {
  const updates = lowRanksOf(adapter);
  for (const update of updates.values()) {
    for (const row of updateRows(update, 'out,in')) if (row.some((value) => value !== 0)) return true;
  }
  const isWhole = adapter.tensors.size === 2 * updates.size;
  if (isWhole || base === undefined) return isWhole ? false : undefined;
  for (const { key, parameter } of [...base.layout.saved, ...base.layout.baseCopies]) {
    const saved = adapter.tensors.get(key)?.values;
    const original = await base.read(parameter);
    if (saved?.some((value, at) => value !== original[at])) return true;
  }
  for (const target of base.layout.targets) {
    const magnitude = updates.get(target.name)?.magnitude?.values;
    if (magnitude === undefined) continue;
    const norms = outputNorms(await base.read(target.weight), target.outputs, target.layout);
    if (magnitude.some((value, at) => Math.abs(value - (norms[at] as number)) > 1e-5 * (norms[at] as number)))
      return true;
  }
  return false;
}
