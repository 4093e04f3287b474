import { type Collectives, Engine, Model, ParameterStore, type Plugin, type RunInput, type StepRecord } from 'mooring';
import { ShardingStatistics, zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { plugin } from '../../core/support.ts';

export type ZeroInput = NonNullable<Parameters<typeof zero3Shard>[0]>;

/** What a rank saw of a run. */
export interface RankRun {
  readonly records: readonly StepRecord[];
  readonly final: Readonly<Record<string, number[]>>;
  readonly statistics: ShardingStatistics | undefined;
  /** Bytes of all ranks together, since they share this thread, after each step. */
  readonly bytes: readonly number[];
}

/** Trains the toy on ranks, its parameters split however small they are. */
export function shardedRuns(
  ranks: number,
  plugins: (rank: number) => readonly Plugin[] = () => [],
  options: ZeroInput = {},
  train: RunInput['train'] = {},
): Promise<RankRun[]> {
  return inRanks(ranks, async (collectives) => {
    const seen = watcher(collectives);
    const shard = zero3Shard({ persistenceThreshold: 0, ...options });
    const { trainer } = toyRun(
      [...plugins(collectives.rank), shard, givenRanks(collectives, 'zero3-shard'), seen.plugin],
      train,
    );
    await trainer.train();
    return seen.run;
  });
}

/** The same without sharding. */
export async function wholeRun(plugins: readonly Plugin[] = [], train: RunInput['train'] = {}): Promise<RankRun> {
  const seen = watcher();
  await toyRun([...plugins, seen.plugin], train).trainer.train();
  return seen.run;
}

/** Notes records, weights and memory; on ranks the figures of the sharding too. */
export function watcher(collectives?: Collectives): { readonly plugin: Plugin; readonly run: RankRun } {
  const run = {
    records: [] as StepRecord[],
    final: {} as Record<string, number[]>,
    statistics: undefined as ShardingStatistics | undefined,
    bytes: [] as number[],
  };
  const uses = {
    model: Model,
    store: ParameterStore,
    engine: Engine,
    statistics: { optional: ShardingStatistics },
  };
  const watch = plugin(
    'watcher',
    ({ hooks, services }) => {
      hooks.stepEnd.tap(({ record }) => {
        run.records.push(record);
        run.bytes.push(services.engine.memory().bytes);
      });
      hooks.trainEnd.tap(async () => {
        const { store, statistics } = services;
        if (statistics !== undefined) run.statistics = structuredClone(statistics);
        await collectives?.barrier('the end of training');
        for (const name of store.names) {
          await store.withGathered([name], 'policy', async () => {
            const value = store.read(name, 'policy');
            run.final[name] = [...value.dataSync()];
            value.dispose();
          });
        }
      });
    },
    uses,
  );
  return { plugin: watch, run };
}
