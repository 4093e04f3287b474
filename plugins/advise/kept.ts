import type { Shapes } from './shapes.ts';
import { countRows, type RowCounts, type Workload } from './workload.ts';

/** How blocks run: compiled, keeping what the backward pass needs (`none`) or only their input (`block`). */
export interface Running {
  readonly isCompiled: boolean;
  readonly recompute: 'none' | 'block';
}

/** Numbers that the forward pass of the policy keeps for its backward pass. */
export interface Kept {
  /** Of each layer; the last works on targets only after its attention. */
  readonly layers: readonly number[];
  readonly head: number;
}

/** The largest `[targets, vocabulary]` that a compiled forward pass keeps, in numbers; causal-lm makes it again above. */
export const keptScores = 2 ** 25;

/** The largest part of them that it makes at a time. */
export const chunkScores = 2 ** 23;

/**
 * What compiled blocks keep: results that the backward pass reads, less what elementwise operations make again from
 * others. Of a layer these are both norms' results with a factor for each row, queries, keys and values, the exponentials
 * of the attention's scores with their sums, the attention's result by head and merged, and the widened rows of the
 * feed-forward part. Of a layer that runs eagerly, or again, its input alone.
 */
export function keptNumbers(
  { sizes, vocabularySize, blocks }: Shapes,
  workload: Workload,
  running: Running,
  trains: { readonly isHeadTrained: boolean; readonly adapterRank: number },
): Kept {
  const rows = countRows(workload);
  const count = blocks.filter(({ kind }) => kind === 'layer').length;
  const { hidden } = sizes;
  const { targets, tokens } = rows;
  const isInputOnly = keepsInputOnly(running);
  const layers = blocks
    .filter(({ kind }) => kind === 'layer')
    .map(({ modules }, index) => {
      if (isInputOnly) return tokens * hidden;
      const after = index === count - 1 ? targets : tokens;
      const ofAdapters = modules.length * trains.adapterRank * after;
      return attentionKept(sizes, rows, after) + feedForwardKept(sizes, after) + ofAdapters;
    });
  if (isInputOnly) return { layers, head: targets * hidden };
  const isKeptWhole = trains.isHeadTrained && targets * vocabularySize <= keptScores;
  return { layers, head: targets * (2 * hidden + 2) + (isKeptWhole ? targets * vocabularySize : 0) };
}

/** Whether the backward pass runs a block again from its input. */
export function keepsInputOnly({ isCompiled, recompute }: Running): boolean {
  return !isCompiled || recompute === 'block';
}

function attentionKept(sizes: Shapes['sizes'], rows: RowCounts, after: number): number {
  const { hidden, heads, keyValueHeads, headSize, hasHeadNorms } = sizes;
  const { tokens, trunkTokens, branchKeys, scores } = rows;
  const [width, keyWidth] = [heads * headSize, keyValueHeads * headSize];
  const norm = tokens * (hidden + 1);
  const headNorms = hasHeadNorms ? tokens * (width + keyWidth + heads + keyValueHeads) : 0;
  const queries = tokens * width;
  // where rows fork, the keys and values of the trunk and those that its branches see
  const keysAndValues = 2 * keyWidth * (branchKeys === 0 ? tokens : trunkTokens + branchKeys);
  const softmax = heads * (scores + tokens);
  const context = tokens * width + after * width;
  return norm + headNorms + queries + keysAndValues + softmax + context;
}

function feedForwardKept({ hidden, feedForward, isGated }: Shapes['sizes'], after: number): number {
  return after * (hidden + 1) + (isGated ? 2 : 1) * after * feedForward;
}
