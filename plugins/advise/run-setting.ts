import path from 'node:path';
import { divergenceNames, type Models, type PassRequest, type Reference, type Run } from 'mooring';
import { type AverageCopies, averageCopies } from './average.ts';
import type { Running } from './kept.ts';
import type { Mechanism, ReferenceKind } from './mechanisms.ts';
import type { Setting } from './predict-memory.ts';
import type { Demands } from './refusal.ts';
import { type Shapes, shapesOf } from './shapes.ts';
import { shardingDefaults } from './sharding.ts';
import { widestRows } from './workload.ts';

type Fields = Readonly<Record<string, string>>;

/** How many batches are looked at for the lengths of sequences. */
const sampledBatches = 64;

/**
 * What a run is about to do, as predictions take it: from its plugins with their options, and its first batches. Several
 * where rows of some batches fork and those of others do not: the run has steps of each. Throws ADVISE_NOT_A_DECODER of a
 * reloaded reference.
 */
export async function settingsOfRun(
  run: Run,
  reference: Pick<Reference, 'kind' | 'over'> | undefined,
  models: Models | undefined,
  isNative: boolean,
): Promise<Setting[]> {
  const fields = run.fields();
  const { compile, recompute } = run.config.train;
  const running: Running = { isCompiled: isNative && compile !== 'off', recompute };
  const option = numbersIn(fields);
  const passes = await samplePasses(run);
  const alpha = option('sync-ref-model.mixupAlpha');
  const average = averageOf(fields, run.steps);
  const setting: Omit<Setting, 'workload'> = {
    mechanism: mechanismOf(fields, reference),
    running,
    ranks: run.ranks,
    adapterRank: option('peft-lora.r') ?? 8,
    sharding: {
      persistenceThreshold: option('zero3-shard.persistenceThreshold') ?? shardingDefaults.persistenceThreshold,
      prefetchBucketSize: option('zero3-shard.prefetchBucketSize') ?? shardingDefaults.prefetchBucketSize,
      maxLiveParameters: option('zero3-shard.maxLiveParameters') ?? shardingDefaults.maxLiveParameters,
      reduceBucketSize: option('zero3-shard.reduceBucketSize') ?? shardingDefaults.reduceBucketSize,
    },
    isMixed: average === undefined && alpha !== undefined && alpha !== 1,
    average,
    ...demandsOf(fields, passes),
    referenceShapes: otherShapes(run, fields, models),
  };
  return widestRows(passes.map(({ rows }) => rows)).map((workload): Setting => ({ ...setting, workload }));
}

/** Whether options and the reference's kind are one of the mechanisms, or something between two of them. */
export function mechanismOf(fields: Fields, reference: Pick<Reference, 'kind' | 'over'> | undefined): Mechanism {
  const has = pluginsIn(fields);
  const isAdapter = has('peft-lora');
  const isPacked = [fields['ref-clone.storage'], fields['ref-reload.storage']].includes('bfloat16');
  return {
    name: 'this run',
    plugins: {},
    trains: isAdapter ? 'adapters' : 'all',
    baseBytes: isAdapter && fields['peft-lora.storage'] === 'bfloat16' ? 2 : 4,
    ...referenceOf(fields, reference),
    referenceBytes: isPacked ? 2 : 4,
    stage: has('zero3-shard') ? (({ '1': 1, '2': 2 } as const)[fields['zero3-shard.stage'] ?? ''] ?? 3) : 0,
    refuses: 'Nothing.',
  };
}

/** One that is cached as it comes stays beside its cache; one that is scored ahead is let go. */
function referenceOf(
  fields: Fields,
  reference: Pick<Reference, 'kind' | 'over'> | undefined,
): Pick<Mechanism, 'reference' | 'over'> {
  const over = kindOf(fields, reference?.over ?? reference?.kind);
  const isLetGo = reference?.kind === 'cached' && fields['ref-cache.compute'] !== 'as-they-come';
  return isLetGo || over === undefined ? { reference: 'cached', over: over ?? 'clone' } : { reference: over };
}

/** An adapter's reference is decided on when its weights are there: what it will be is said by options. */
function kindOf(fields: Fields, kind: string | undefined): ReferenceKind | undefined {
  if (kind === 'reload') return fields['ref-reload.offload'] === 'disk' ? 'reload-disk' : 'reload-memory';
  if (kind === 'adapters-off' || kind === 'adapter-snapshot') {
    const { 'peft-lora.reference': asked = 'auto' } = fields;
    const isSnapshot = asked === 'adapter-snapshot' || (asked === 'auto' && startsTrained(fields));
    return isSnapshot ? 'adapter-snapshot' : 'adapters-off';
  }
  return kind === 'clone' || kind === 'the starting policy' ? 'clone' : undefined;
}

/** Whether the adapter may be trained already: one of a folder is taken to be. */
function startsTrained(fields: Fields): boolean {
  return fields['peft-lora.adapter'] !== undefined || fields['peft-lora.initialization'] === 'pissa';
}

function demandsOf(fields: Fields, passes: readonly PassRequest[]): Omit<Demands, 'referenceShapes'> {
  const isCompared = ({ of, outputs, differentiated = [] }: PassRequest) =>
    of === 'policy' && divergenceNames.some((name) => [...outputs, ...differentiated].includes(name));
  return {
    isMoved: pluginsIn(fields)('sync-ref-model'),
    isAdapterTrained: startsTrained(fields) && fields['peft-lora.allowRawBase'] !== 'true',
    isCompared: passes.some(isCompared),
  };
}

function averageOf(fields: Fields, steps: number): AverageCopies | undefined {
  const option = numbersIn(fields);
  const updateEverySteps = option('sync-ref-model.bema.everySteps');
  if (updateEverySteps === undefined) return undefined;
  const options = {
    everySteps: option('sync-ref-model.everySteps') ?? updateEverySteps,
    updateEverySteps,
    updateAfter: option('sync-ref-model.bema.updateAfter') ?? 0,
    refModelUpdateAfter: option('sync-ref-model.bema.refModelUpdateAfter') ?? 0,
  };
  return averageCopies(options, steps);
}

/** Of a reloaded reference that is not the policy's own folder. */
function otherShapes(run: Run, fields: Fields, models: Models | undefined): Shapes | undefined {
  const folder = run.config.folders[fields['ref-reload.model'] ?? ''];
  if (folder === undefined || folder === path.resolve(run.config.model)) return undefined;
  return models && shapesOf(models.open(folder));
}

async function samplePasses(run: Run): Promise<PassRequest[]> {
  const sample: (readonly PassRequest[])[] = [];
  for await (const requests of run.passes()) {
    sample.push(requests);
    if (sample.length >= sampledBatches) break;
  }
  return sample.flat();
}

function pluginsIn({ plugins = '[]' }: Fields): (plugin: string) => boolean {
  const names: unknown = JSON.parse(plugins);
  return (plugin) => Array.isArray(names) && names.includes(plugin);
}

function numbersIn(fields: Fields): (name: string) => number | undefined {
  return (name) => (fields[name] === undefined ? undefined : Number(fields[name]));
}
