import { expect } from '@jest/globals';
import {
  type Collectives,
  Engine,
  Model,
  optional,
  ParameterStore,
  type Plugin,
  type RunInput,
  type StepRecord,
} from 'mooring';
import { ShardingStatistics, zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { plugin } from '../../core/support.ts';
import { distance } from './support.ts';

export type ZeroInput = NonNullable<Parameters<typeof zero3Shard>[0]>;

/** What a rank saw of a run. */
export interface RankRun {
  readonly records: readonly StepRecord[];
  readonly final: Readonly<Record<string, number[]>>;
  /** After each step, since the run began. */
  readonly statistics: readonly ShardingStatistics[];
  /** Bytes of all ranks together, since they share this thread, when the gradients of each step are there. */
  readonly bytes: readonly number[];
  /** The same before the last block's backward pass: gradients of the others are there. */
  readonly bytesInBackward: readonly number[];
}

/** Trains the toy on ranks, its parameters split however small they are. */
export function shardedRuns(
  ranks: number,
  plugins: () => readonly Plugin[] = () => [],
  options: ZeroInput = {},
  train: RunInput['train'] = {},
): Promise<RankRun[]> {
  return inRanks(ranks, async (collectives) => {
    const { plugin, run } = watcher(collectives);
    const shard = zero3Shard({ persistenceThreshold: 0, ...options });
    const { trainer } = toyRun([...plugins(), plugin, shard, givenRanks(collectives, 'zero3-shard')], train);
    await trainer.train();
    return run;
  });
}

/** The same without sharding. */
export async function wholeRun(plugins: readonly Plugin[] = [], train: RunInput['train'] = {}): Promise<RankRun> {
  const { plugin, run } = watcher();
  await toyRun([...plugins, plugin], train).trainer.train();
  return run;
}

/** Notes records, weights and memory; on ranks the figures of the sharding too. */
export function watcher(collectives?: Collectives): { readonly plugin: Plugin; readonly run: RankRun } {
  const run = {
    records: [] as StepRecord[],
    final: {} as Record<string, number[]>,
    statistics: [] as ShardingStatistics[],
    bytes: [] as number[],
    bytesInBackward: [] as number[],
  };
  const uses = { model: Model, store: ParameterStore, engine: Engine, statistics: optional(ShardingStatistics) };
  const watch = plugin(
    'watcher',
    ({ hooks, services }) => {
      hooks.beforeBackward.tap(async ({ next }) => {
        if (next !== undefined) return;
        await collectives?.barrier('a look at the memory of a backward pass');
        run.bytesInBackward.push(services.engine.memory().bytes);
      });
      hooks.gradientsReady.tap(async () => {
        await collectives?.barrier('a look at the memory');
        run.bytes.push(services.engine.memory().bytes);
      });
      hooks.stepEnd.tap(({ record }) => {
        run.records.push(record);
        if (services.statistics !== undefined) run.statistics.push(structuredClone(services.statistics));
      });
      hooks.trainEnd.tap(async () => {
        const { store } = services;
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

/** Records and weights agree within 1e-5. */
export function expectSame(one: RankRun, other: RankRun): void {
  expect(one.records.map((record) => Object.keys(record))).toEqual(other.records.map((record) => Object.keys(record)));
  for (const [at, record] of one.records.entries())
    expect(distance(Object.values(record), Object.values(other.records[at] ?? {}))).toBeLessThan(1e-5);
  expect(Object.keys(one.final)).toEqual(Object.keys(other.final));
  for (const [name, values] of Object.entries(one.final))
    expect(distance(values, other.final[name] ?? [])).toBeLessThan(1e-5);
}
