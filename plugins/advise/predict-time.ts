import { adapterNumbers } from './adapters.ts';
import type { Mechanism } from './mechanisms.ts';
import type { Setting } from './predict-memory.ts';
import type { Shapes } from './shapes.ts';
import { countRows } from './workload.ts';

/**
 * Measured on 2 cores (`tests/bench/profile.ts`, `tests/bench/optimizer.ts`): products inside compiled blocks, AdamW for
 * each trained number (decay, clipping and norm included); the disk's speed is assumed. Only their ratios enter into what
 * is predicted: times are relative to those of full training with a clone.
 */
export const speed = { operationsPerSecond: 130e9, secondsPerTrainedNumber: 1.3e-9, diskBytesPerSecond: 1e9 } as const;

/** Seconds of a step at these speeds. A sharded one shares its rows; what its ranks say to each other is not in it. */
export function predictSeconds(shapes: Shapes, { mechanism, workload, running, ranks, adapterRank }: Setting): number {
  const spread = mechanism.stage > 0 ? ranks : 1;
  const { tokens, scores, targets } = countRows(workload);
  const { sizes, vocabularySize, blocks } = shapes;
  const linears = blocks.filter(({ kind }) => kind === 'layer').flatMap(({ modules }) => modules);
  const matrices = linears.reduce((sum, { inputs, outputs }) => sum + inputs * outputs, 0);
  // two operations for each weight and token forward, two more backward by inputs, two by weights
  const products = 2 * (tokens * matrices + targets * vocabularySize * sizes.hidden);
  const attention = 4 * scores * sizes.heads * sizes.headSize * layersOf(shapes);
  const forward = products + attention;
  const isAll = mechanism.trains === 'all';
  const adapters = isAll ? 0 : adapterNumbers(shapes, adapterRank);
  const backward = (isAll ? 2 : 1) * products + 2 * attention + 3 * 2 * tokens * adapters;
  const isRunAgain = !running.isCompiled || running.recompute === 'block';
  const policy = forward * (isRunAgain ? 2 : 1) + backward;
  const trained = isAll ? shapes.parameters : adapters;
  const computing = (operations: number) => operations / spread / speed.operationsPerSecond;
  return (
    computing(policy) +
    Math.max(computing(referenceOperations(mechanism, forward)), readingSeconds(mechanism, shapes, spread)) +
    (trained * speed.secondsPerTrainedNumber) / spread
  );
}

function referenceOperations({ reference }: Mechanism, forward: number): number {
  return reference === 'cached' ? 0 : forward;
}

/** A block is read while the one before computes; each rank reads its part. */
function readingSeconds({ reference }: Mechanism, { parameters }: Shapes, ranks: number): number {
  return reference === 'reload-disk' ? (4 * parameters) / ranks / speed.diskBytesPerSecond : 0;
}

function layersOf({ blocks }: Shapes): number {
  return blocks.filter(({ kind }) => kind === 'layer').length;
}
