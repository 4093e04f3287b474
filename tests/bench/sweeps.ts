import type { PairSizes, Shape } from './operations.ts';

/** A model and batch to time: lengths in tokens, prompt and completion half each. */
export type Point = Shape & PairSizes;

/** What is varied, one at a time, around a tiny model. */
export interface Sweep {
  /** What stands under the axis. */
  readonly label: string;
  readonly values: readonly number[];
  readonly at: (value: number) => Point;
}

/** Small enough that its fixed costs show, and that 2048 tokens and 32,000 words fit into a few seconds. */
const base: Point = {
  ...{ hidden: 64, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 176, vocabulary: 2048 },
  ...{ pairs: 2, promptTokens: 64, completionTokens: 64 },
};

/** The names of the sweeps, in the order that they are drawn. */
export const sweepNames = ['batch', 'length', 'layers', 'vocabulary'] as const;

/** A sweep's name. */
export type SweepName = (typeof sweepNames)[number];

/** The sweeps by name. */
export const sweeps: Readonly<Record<SweepName, Sweep>> = {
  batch: {
    label: 'pairs in a batch',
    values: [1, 2, 4, 8, 16],
    at: (pairs) => ({ ...base, pairs }),
  },
  length: {
    label: 'tokens in a sequence',
    values: [64, 128, 256, 512, 1024, 2048],
    at: (tokens) => ({ ...base, promptTokens: tokens / 2, completionTokens: tokens / 2 }),
  },
  layers: {
    label: 'layers',
    values: [2, 4, 8, 16],
    at: (layers) => ({ ...base, layers }),
  },
  vocabulary: {
    label: 'words in the vocabulary',
    values: [2000, 4000, 8000, 16000, 32000],
    at: (vocabulary) => ({ ...base, vocabulary }),
  },
};
