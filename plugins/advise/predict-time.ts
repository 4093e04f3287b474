import { adapterNumbers } from './adapters.ts';
import type { Mechanism } from './mechanisms.ts';
import type { Setting } from './predict-memory.ts';
import { modelOf } from './reference-memory.ts';
import type { Shapes } from './shapes.ts';
import { countRows, type Workload } from './workload.ts';

/**
 * Measured on 2 cores (`tests/bench/profile.ts`, `tests/bench/optimizer.ts`): products inside compiled blocks, AdamW for
 * each trained number (decay, clipping and norm included); the disk's speed is assumed. Only their ratios enter into what
 * is predicted: times are relative to those of full training with a clone.
 */
export const speed = { operationsPerSecond: 130e9, secondsPerTrainedNumber: 1.3e-9, diskBytesPerSecond: 1e9 } as const;

/** Seconds of a step at these speeds. A sharded one shares its rows; what its ranks say to each other is not in it. */
export function predictSeconds(shapes: Shapes, setting: Setting): number {
  const { mechanism, workload, running, ranks, adapterRank } = setting;
  const spread = mechanism.stage > 0 ? ranks : 1;
  const { products, attention } = forwardOperations(shapes, workload);
  const forward = products + attention;
  const isAll = mechanism.trains === 'all';
  const adapters = isAll ? 0 : adapterNumbers(shapes, adapterRank);
  // by inputs and by weights as many products as forward, or by inputs and adapters only
  const ofAdapters = 3 * 2 * countRows(workload).tokens * adapters;
  const backward = (isAll ? 2 : 1) * products + 2 * attention + ofAdapters;
  const isRunAgain = !running.isCompiled || running.recompute === 'block';
  const policy = forward * (isRunAgain ? 2 : 1) + backward;
  const trained = isAll ? shapes.parameters : adapters;
  const computing = (operations: number) => operations / spread / speed.operationsPerSecond;
  const model = modelOf(mechanism, shapes, setting.referenceShapes);
  return (
    computing(policy) +
    Math.max(computing(referenceOperations(mechanism, model, workload)), readingSeconds(mechanism, model, spread)) +
    (trained * speed.secondsPerTrainedNumber) / spread
  );
}

/** Two operations for each weight and token. */
function forwardOperations(shapes: Shapes, workload: Workload): { products: number; attention: number } {
  const { tokens, scores, targets } = countRows(workload);
  const { sizes, vocabularySize, blocks } = shapes;
  const linears = blocks.filter(({ kind }) => kind === 'layer').flatMap(({ modules }) => modules);
  const matrices = linears.reduce((sum, { inputs, outputs }) => sum + inputs * outputs, 0);
  return {
    products: 2 * (tokens * matrices + targets * vocabularySize * sizes.hidden),
    attention: 4 * scores * sizes.heads * sizes.headSize * layersOf(shapes),
  };
}

function referenceOperations({ reference }: Mechanism, model: Shapes, workload: Workload): number {
  const { products, attention } = forwardOperations(model, workload);
  return reference === 'cached' ? 0 : products + attention;
}

/** A block is read while the one before computes; each rank reads its part. */
function readingSeconds({ reference }: Mechanism, { parameters }: Shapes, ranks: number): number {
  return reference === 'reload-disk' ? (4 * parameters) / ranks / speed.diskBytesPerSecond : 0;
}

function layersOf({ blocks }: Shapes): number {
  return blocks.filter(({ kind }) => kind === 'layer').length;
}
