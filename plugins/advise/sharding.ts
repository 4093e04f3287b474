import type { BlockShape, Shapes } from './shapes.ts';

/** How parameters are split among ranks: as `zero3-shard` does, by its options. */
export interface Sharding {
  /** 0: they are not, on one rank. 1 splits the optimizer's state, 2 gradients too, 3 parameters and references too. */
  readonly stage: 0 | 1 | 2 | 3;
  readonly ranks: number;
  /** Parameters of at most so many numbers are whole on every rank. */
  readonly persistenceThreshold: number;
  /** Numbers of the next block that are gathered while a block runs. */
  readonly prefetchBucketSize: number;
  /** Numbers that stay gathered when their block has run. */
  readonly maxLiveParameters: number;
  /** Numbers of gradients that are on their way at the end of a step, where stage 1 adds them all. */
  readonly reduceBucketSize: number;
}

/** What `zero3-shard` does where its options say nothing. */
export const shardingDefaults = {
  persistenceThreshold: 100_000,
  prefetchBucketSize: 50_000_000,
  maxLiveParameters: 0,
  reduceBucketSize: 500_000_000,
} as const;

/** The most numbers of a parameter that a rank holds: parts end at even boundaries, and small ones are not split. */
export function shareOf(numbers: number, sharding: Pick<Sharding, 'ranks' | 'persistenceThreshold'>): number {
  if (!isSplit(numbers, sharding)) return numbers;
  return Math.min(numbers, 2 * Math.ceil(Math.ceil(numbers / 2) / sharding.ranks));
}

/** The same of several parameters. */
export function sharesOf(sizes: readonly number[], sharding: Sharding): number {
  return sizes.reduce((sum, numbers) => sum + shareOf(numbers, sharding), 0);
}

/** Numbers of all parameters, each once: of those that are gathered. */
export function gatheredOf(sizes: readonly number[], sharding: Sharding): number {
  return sizes.reduce((sum, numbers) => sum + (isSplit(numbers, sharding) ? numbers : 0), 0);
}

/** The sizes of a model's parameters, each once: a tied head reads the embedding's matrix. */
export function parameterSizes({ blocks, isTied, vocabularySize, sizes }: Shapes): number[] {
  const all = blocks.flatMap((block) => block.sizes);
  if (isTied) all.splice(all.lastIndexOf(vocabularySize * sizes.hidden), 1);
  return all;
}

/** Numbers that are whole at once while a pass visits a block: its own, and of the next what is gathered ahead. */
export function windowOf(block: BlockShape | undefined, next: BlockShape | undefined, sharding: Sharding): number {
  if (block === undefined) return 0;
  let room = sharding.prefetchBucketSize;
  const ahead = (next?.sizes ?? []).filter((numbers) => {
    if (!isSplit(numbers, sharding)) return false;
    room -= numbers;
    return room >= 0;
  });
  return gatheredOf(block.sizes, sharding) + ahead.reduce((sum, numbers) => sum + numbers, 0);
}

function isSplit(numbers: number, { ranks, persistenceThreshold }: Pick<Sharding, 'ranks' | 'persistenceThreshold'>) {
  return ranks > 1 && numbers > persistenceThreshold;
}
