import { token } from 'mooring';

/** What a rank's collectives over parameters and gradients carried, of the run's model and of others beside it. */
export interface ShardingStatistics {
  /** Parameters that were gathered, by view. */
  readonly gathered: Readonly<Record<string, number>>;
  /** Calls of the collective that gathers; small parameters of a block share one. */
  readonly gatherCalls: number;
  /** What other ranks sent of them. */
  readonly bytesGathered: number;
  /** What was sent to other ranks of gradients. */
  readonly bytesReduced: number;
  /** From the start of each gather to its end, together. */
  readonly millisecondsGathering: number;
  /** How long blocks waited for theirs: the rest was hidden by computing. */
  readonly millisecondsWaited: number;
}

/** The service of a run with `zero3-shard`: figures since the run began. */
export const ShardingStatistics = token<ShardingStatistics>('ShardingStatistics', 'zero3-shard');

/** The figures while they grow. */
export type Counters = { -readonly [Name in keyof ShardingStatistics]: ShardingStatistics[Name] } & {
  gathered: Record<string, number>;
};

export function createCounters(): Counters {
  return {
    gathered: {},
    gatherCalls: 0,
    bytesGathered: 0,
    bytesReduced: 0,
    millisecondsGathering: 0,
    millisecondsWaited: 0,
  };
}

/** For people. */
export function summaryOf(counters: ShardingStatistics): string {
  const { gathered, bytesGathered, bytesReduced, millisecondsGathering, millisecondsWaited } = counters;
  const views = Object.entries(gathered).map(([view, count]) => `${count} of ${view}`);
  const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const time = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
  return [
    `sharding: gathered ${views.length > 0 ? views.join(', ') : 'nothing'}, ${size(bytesGathered)}`,
    `in ${time(millisecondsGathering)} of which blocks waited ${time(millisecondsWaited)};`,
    `gradients to other ranks ${size(bytesReduced)}`,
  ].join(' ');
}
