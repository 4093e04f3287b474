/** How the policy is trained. */
export const policies = ['full', 'LoRA', 'LoRA on a trained adapter'] as const;

/** What it is compared with. */
export const references = ['clone', 'adapters-off', 'adapter-snapshot', 'reload', 'cached'] as const;

/** Whether the reference moves. */
export const syncs = ['off', 'hard', 'soft'] as const;

/** Among how many ranks the run is split. */
export const rankCounts = [1, 2, 3] as const;

/** Whether the run goes on from a checkpoint in its middle: of as many ranks, or of another number. */
export const resumes = ['no', 'same', 'other'] as const;

/** A combination of all that has to work together, or be refused. */
export interface Cell {
  readonly policy: (typeof policies)[number];
  readonly reference: (typeof references)[number];
  readonly sync: (typeof syncs)[number];
  readonly ranks: (typeof rankCounts)[number];
  readonly resume: (typeof resumes)[number];
}

/** Every combination, in the order of the table. */
export const cells: readonly Cell[] = policies.flatMap((policy) =>
  references.flatMap((reference) =>
    syncs.flatMap((sync) =>
      rankCounts.flatMap((ranks) => resumes.map((resume) => ({ policy, reference, sync, ranks, resume }))),
    ),
  ),
);

/** The ranks of each run that a combination takes: one, or two of which the second goes on from the first's checkpoint. */
export function runsOf({ ranks, resume }: Pick<Cell, 'ranks' | 'resume'>): number[] {
  if (resume === 'no') return [ranks];
  return [resume === 'same' ? ranks : (ranks % rankCounts.length) + 1, ranks];
}

/** The code of the error that a combination has to end in before anything is trained; `undefined` where it has to work. */
export function refusalOf({ policy, reference, sync }: Cell): string | undefined {
  const isAdapters = reference === 'adapters-off' || reference === 'adapter-snapshot';
  if (policy === 'full' && isAdapters) return 'SERVICE_MISSING';
  if (reference === 'adapters-off' && policy === 'LoRA on a trained adapter') return 'ADAPTER_REFERENCE_TRAINED';
  if (sync === 'off') return undefined;
  if (reference === 'cached') return 'PLUGIN_CONFLICT';
  return reference === 'adapters-off' || reference === 'reload' ? 'REFERENCE_NOT_MOVABLE' : undefined;
}

/** The cell whose losses another one has to give: a clone of the same policy, moved alike, in one go and on one rank. */
export function plainOf({ policy, sync }: Cell): Cell {
  return { policy, reference: 'clone', sync, ranks: 1, resume: 'no' };
}

/** A few cells in which every pair of two values stands that stands in any cell. */
export function pairwise(all: readonly Cell[]): Cell[] {
  const pairsOf = (cell: Cell) => {
    const values = Object.entries(cell).map(String);
    return values.flatMap((one, at) => values.slice(at + 1).map((other) => `${one} ${other}`));
  };
  const missing = new Set(all.flatMap(pairsOf));
  const gain = (cell: Cell) => pairsOf(cell).filter((pair) => missing.has(pair)).length;
  const chosen: Cell[] = [];
  while (missing.size > 0) {
    const best = all.reduce((best, cell) => (gain(cell) > gain(best) ? cell : best));
    for (const pair of pairsOf(best)) missing.delete(pair);
    chosen.push(best);
  }
  return chosen;
}
