import { chunkScores, type Kept, keptNumbers, type Running } from './kept.ts';
import type { Mechanism } from './mechanisms.ts';
import { blockFromDisk } from './reference-memory.ts';
import type { Shapes } from './shapes.ts';
import { gatheredOf, parameterSizes, type Sharding, shareOf, sharesOf, windowOf } from './sharding.ts';
import { countRows, type Workload } from './workload.ts';

/**
 * Numbers beside weights, moments and reference. Gradients count with what adding and scaling them holds for a while;
 * `live` are those of gathered blocks, each of 4 bytes as all here.
 */
export interface Moment {
  readonly gradients: number;
  readonly activations: number;
  readonly live: number;
}

/** What moments depend on. */
export interface Stepping {
  readonly mechanism: Mechanism;
  /** Of one rank. */
  readonly workload: Workload;
  readonly running: Running;
  readonly sharding: Sharding;
  /** The model that the reference runs. */
  readonly referenceShapes: Shapes;
  /** Numbers that sync-ref-model holds while it moves the reference. */
  readonly moving: number;
  readonly kept: Kept;
  /** Numbers that are trained, of which this rank keeps gradients and moments. */
  readonly trained: number;
  readonly adapters: number;
}

/** From how many numbers a product of the head is made outside of its executable, whose operand is then a tensor. */
const largeProduct = 2 ** 21;

/** The moments when a step may hold most: those of passes first, and at last three that the first step does not have. */
export function momentsOf(shapes: Shapes, stepping: Stepping): Moment[] {
  const { mechanism, workload, running, sharding, referenceShapes, moving, kept, trained, adapters } = stepping;
  const { vocabularySize, sizes, blocks, isTied, largest } = shapes;
  const { tokens, targets } = countRows(workload);
  const flowing = tokens * sizes.hidden;
  const isAll = mechanism.trains === 'all';
  const all = sum(kept.layers);
  const matrix = isAll ? vocabularySize * sizes.hidden : 0;
  const scores = targets * vocabularySize;
  const isOperand = running.isCompiled && isAll && scores >= largeProduct;
  const eager = running.isCompiled ? 0 : eagerNumbers(shapes, workload, isAll);
  const live = liveOf(shapes, stepping);
  const widest = Math.max(sizes.hidden, referenceShapes.sizes.hidden);
  const fromDisk = mechanism.reference === 'reload-disk' ? blockFromDisk(referenceShapes, sharding) : 0;

  // gradients of what is above a layer: whole while they are computed, of which a rank then keeps its part
  const keeps = (sizes: readonly number[]) => keptGradients(sizes, sharding);
  const layers = blocks.filter(({ kind }) => kind === 'layer');
  const ofLayer = isAll ? layers.map(({ sizes }) => sizes) : layers.map(() => [adapters / layers.length]);
  const ofHead = isTied ? matrix : keeps([matrix]);
  const summed = isAll ? keeps(parameterSizes(shapes)) : trained;
  const parts = ofLayer.map(keeps);
  const backward = ofLayer.map((own, index) => ({
    gradients: sum(own) + sum(parts.slice(index + 1)) + ofHead,
    activations: sum(kept.layers.slice(0, index + 1)) + 2 * flowing + eager,
    live: live.backward(index + 1),
  }));
  return [
    // the reference's pass, after the policy's; from disk it holds a block for a while
    { gradients: 0, activations: all + kept.head + 2 * tokens * widest + fromDisk, live: live.reference },
    // the head's backward pass
    {
      gradients: matrix,
      activations: all + kept.head + (isOperand ? scores : 0) + 2 * targets * sizes.hidden + eager,
      live: live.backward(blocks.length - 1),
    },
    ...backward,
    // the embedding's, whose gradient is whole, and added to that of a tied head
    {
      gradients: summed + (isAll ? matrix - keeps([matrix]) + (isTied ? 2 : 1) * matrix : 0),
      activations: 0,
      live: isAll ? live.backward(0) : 0,
    },
    // the optimizer: one parameter at a time is scaled
    { gradients: trained + (isAll ? shareOf(largest, sharding) : 0), activations: 0, live: live.lasting },
    // after it: a reference is moved, or the policy of stages 1 and 2 gathered again, each block beside what it was
    {
      gradients: 0,
      activations: moving,
      live: live.lasting + live.again,
    },
  ];
}

/** Gathered numbers, in numbers of 4 bytes: while blocks run, those that stay, and those that replace a block's. */
function liveOf(shapes: Shapes, { mechanism, referenceShapes, sharding }: Stepping) {
  const { blocks } = shapes;
  const { trains, baseBytes, reference, referenceBytes } = mechanism;
  const isShared = trains === 'adapters' && !reference.startsWith('reload');
  const ofBase = trains === 'all' ? 1 : baseBytes / 4;
  const ofReference = isShared ? ofBase : referenceBytes / 4;
  const isResident = sharding.stage === 1 || sharding.stage === 2;
  const staying = (model: Shapes) => Math.min(sharding.maxLiveParameters, gatheredOf(parameterSizes(model), sharding));
  // a reloaded model has a store of its own, with numbers that stay too; those from disk go with their block
  const ofReloaded = reference === 'reload-memory' ? ofReference * staying(referenceShapes) : 0;
  const lasting = ofBase * staying(shapes) + ofReloaded;
  const ofForward = reference === 'cached' ? ofBase : ofReference;
  return {
    reference: isResident ? 0 : ofForward * forwardWindow(referenceShapes, sharding) + lasting,
    backward: (index: number) =>
      isResident ? 0 : ofBase * windowOf(blocks[index], blocks[index - 1], sharding) + lasting,
    lasting: isResident ? 0 : lasting,
    again: isResident ? ofBase * Math.max(...blocks.map(({ sizes }) => gatheredOf(sizes, sharding))) : 0,
  };
}

function forwardWindow({ blocks }: Shapes, sharding: Sharding): number {
  return Math.max(...blocks.map((block, index) => windowOf(block, blocks[index + 1], sharding)));
}

/** Numbers of these parameters' gradients that a rank keeps until the last has come: with stage 1 all. */
export function keptGradients(sizes: readonly number[], sharding: Sharding): number {
  return sharding.stage === 1 ? sum(sizes) : sharesOf(sizes, sharding);
}

/**
 * What an eager backward pass holds while it runs a block again, measured: 8 matrices of a chunk of the head's logits, and
 * of a layer 7.5 times what its compiled forward pass would keep.
 */
function eagerNumbers(shapes: Shapes, workload: Workload, isHeadTrained: boolean): number {
  const chunk = Math.min(chunkScores, countRows(workload).targets * shapes.vocabularySize);
  const compiled = { isCompiled: true, recompute: 'none' } as const;
  const { layers } = keptNumbers(shapes, workload, compiled, { isHeadTrained, adapterRank: 0 });
  return Math.max(8 * chunk, 7.5 * (layers[0] ?? 0));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
