import type { Reference, Rows, Run } from 'mooring';
import type { Running } from './kept.ts';
import type { Mechanism } from './mechanisms.ts';
import type { Setting } from './predict-memory.ts';
import { shardingDefaults } from './sharding.ts';
import type { Workload } from './workload.ts';

/** How many batches are looked at for the lengths of sequences. */
const sampledBatches = 64;

/** What a run is about to do, as predictions take it: from its plugins with their options, and its first batches. */
export async function settingOfRun(
  run: Run,
  reference: Pick<Reference, 'kind'> | undefined,
  isNative: boolean,
): Promise<Setting> {
  const fields = run.fields();
  const { compile, recompute } = run.config.train;
  const running: Running = { isCompiled: isNative && compile !== 'off', recompute };
  const option = (name: string) => (fields[name] === undefined ? undefined : Number(fields[name]));
  return {
    mechanism: mechanismOf(fields, reference?.kind),
    workload: await workloadOf(run),
    running,
    ranks: run.ranks,
    adapterRank: option('peft-lora.r') ?? 8,
    sharding: {
      persistenceThreshold: option('zero3-shard.persistenceThreshold') ?? shardingDefaults.persistenceThreshold,
      prefetchBucketSize: option('zero3-shard.prefetchBucketSize') ?? shardingDefaults.prefetchBucketSize,
      maxLiveParameters: option('zero3-shard.maxLiveParameters') ?? shardingDefaults.maxLiveParameters,
    },
    isMixed: option('sync-ref-model.mixupAlpha') !== undefined && option('sync-ref-model.mixupAlpha') !== 1,
  };
}

/** Whether a pair of options and a kind of reference is one of the mechanisms, or something between two of them. */
export function mechanismOf(fields: Readonly<Record<string, string>>, kind: string | undefined): Mechanism {
  const names: unknown = JSON.parse(fields.plugins ?? '[]');
  const has = (plugin: string) => Array.isArray(names) && names.includes(plugin);
  const isAdapter = has('peft-lora');
  const isPacked = [fields['ref-clone.storage'], fields['ref-reload.storage']].includes('bfloat16');
  return {
    name: 'this run',
    plugins: {},
    trains: isAdapter ? 'adapters' : 'all',
    baseBytes: isAdapter && fields['peft-lora.storage'] === 'bfloat16' ? 2 : 4,
    reference: referenceOf(fields, kind),
    referenceBytes: isPacked ? 2 : 4,
    stage: has('zero3-shard') ? (({ '1': 1, '2': 2 } as const)[fields['zero3-shard.stage'] ?? ''] ?? 3) : 0,
    refuses: 'Nothing.',
  };
}

function referenceOf(fields: Readonly<Record<string, string>>, kind: string | undefined): Mechanism['reference'] {
  if (kind === 'clone' || kind === 'adapters-off' || kind === 'adapter-snapshot') return kind;
  if (kind === 'reload') return fields['ref-reload.offload'] === 'disk' ? 'reload-disk' : 'reload-memory';
  return 'cached';
}

/** The largest of the first batches, in each way that counts. */
async function workloadOf(run: Run): Promise<Workload> {
  let most: Workload = { pairs: 1, promptTokens: 0, completionTokens: 1, sharesPrompts: true };
  let looked = 0;
  for await (const requests of run.passes()) {
    for (const { rows } of requests) {
      const seen = sizesOf(rows);
      most = {
        pairs: Math.max(most.pairs, seen.pairs),
        promptTokens: Math.max(most.promptTokens, seen.promptTokens),
        completionTokens: Math.max(most.completionTokens, seen.completionTokens),
        sharesPrompts: seen.sharesPrompts,
      };
    }
    if (++looked >= sampledBatches) break;
  }
  return most;
}

function sizesOf({ batch, time, fork, targets }: Rows): Workload {
  if (fork !== undefined)
    return { pairs: batch, promptTokens: fork.trunk, completionTokens: fork.branch, sharesPrompts: true };
  const completionTokens = Math.ceil(targets.label.length / batch);
  return { pairs: batch / 2, promptTokens: time - completionTokens, completionTokens, sharesPrompts: false };
}
