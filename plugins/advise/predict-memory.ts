import { chunkScores, type Kept, keepsInputOnly, keptNumbers, keptScores, type Running } from './kept.ts';
import type { Mechanism } from './mechanisms.ts';
import type { Shapes } from './shapes.ts';
import { countRows, type Workload } from './workload.ts';

/**
 * Bytes of one rank. `gradients` and `activations` are each as many as they become; they are not that at once, since
 * activations go as gradients come, so `tensors` is less than the sum.
 */
export interface MemoryPrediction {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly reference: number;
  /** What forward passes keep, what flows between blocks, the head's logits, and gathered blocks. */
  readonly activations: number;
  /** Of tensors and variables at the moment of a step when it holds most: what the ledger's peak measures. */
  readonly tensors: number;
  /** With what runtime and compiler take: what the process holds. */
  readonly resident: number;
}

/** What is predicted: a step of a mechanism. */
export interface Setting {
  readonly mechanism: Mechanism;
  readonly workload: Workload;
  readonly running: Running;
  /** Ranks that a sharded mechanism is spread over; others run on one. */
  readonly ranks: number;
  readonly adapterRank: number;
  /** Whether sync-ref-model mixes the reference after a step: the softly moved copy is made beside it. */
  readonly isMixed?: boolean;
  /** Another model that is reloaded as the reference. */
  readonly referenceShapes?: Shapes | undefined;
}

/**
 * Resident beyond tensors, fitted to compiled runs of the models of `tests/bench/models.ts` (`tests/bench/advise.ts`):
 * Node, TensorFlow and what XLA keeps of its compiling, a share of the tensors that the allocator holds back, and what
 * the head's executable makes inside, in matrices of its logits.
 */
export const runtime = { bytes: 740e6, eagerBytes: 580e6, share: 0.12, logits: 3 } as const;

/** From how many numbers a product of the head is made outside of its executable, whose operand is then a tensor. */
const largeProduct = 2 ** 21;

const bytesOf = (numbers: number) => 4 * numbers;

/** Numbers of a whole that a rank holds, where each of `ranks` gets an equal part but for the last few: `rank` from 0. */
export function shardOf(numbers: number, ranks: number, rank = 0): number {
  const most = Math.ceil(numbers / ranks);
  return Math.max(0, Math.min(most, numbers - rank * most));
}

/** Predicts the bytes of one rank, from shapes alone. Sharded, the first rank's: none has more. */
export function predictMemory(shapes: Shapes, setting: Setting): MemoryPrediction {
  const { mechanism, running } = setting;
  const ranks = mechanism.isSharded ? setting.ranks : 1;
  const workload = { ...setting.workload, pairs: Math.ceil(setting.workload.pairs / ranks) };
  const isAll = mechanism.trains === 'all';
  const adapters = isAll ? 0 : adapterNumbers(shapes, setting.adapterRank);
  const share = (of: (block: Shapes['blocks'][number]) => number) =>
    shapes.blocks.reduce((sum, block) => sum + shardOf(of(block), ranks), 0) -
    (shapes.isTied ? tiedShare(shapes, ranks) : 0);
  const base = share(({ parameters }) => parameters);
  const trained = isAll ? base : shardOf(adapters, ranks);

  const weights = base * (isAll ? 4 : mechanism.baseBytes) + bytesOf(shardOf(adapters, ranks));
  const optimizer = 2 * bytesOf(trained);
  const reference = referenceBytes(setting.referenceShapes ?? shapes, mechanism, {
    base: setting.referenceShapes === undefined ? base : shardOf(setting.referenceShapes.parameters, ranks),
    adapters: shardOf(adapters, ranks),
  });
  const isFromDisk = mechanism.reference === 'reload-disk';
  const fromDisk = isFromDisk ? reference / 4 : 0;
  const gathered = mechanism.isSharded ? 2 * largestBlock(shapes) * (isAll ? 4 : mechanism.baseBytes) : 0;
  const kept = keptNumbers(shapes, workload, running, {
    isHeadTrained: isAll,
    adapterRank: isAll ? 0 : setting.adapterRank,
  });
  const found = { ...kept, trained, adapters, fromDisk };
  const moments = momentsOf(shapes, { ...setting, workload, ranks }, found);
  const first = momentsOf(
    shapes,
    { ...setting, workload, ranks },
    { ...found, ...(keepsInputOnly(running) ? {} : withInputs(shapes, workload, kept)) },
  );
  const gradients = bytesOf(trained);
  const activations = bytesOf(Math.max(...[...moments, ...first].map((moment) => moment.activations))) + gathered;
  const lasting = weights + gathered + (isFromDisk ? 0 : reference);
  // in the first step the optimizer has nothing yet, and a clone shares the policy's buffers
  const isShared =
    mechanism.reference === 'adapter-snapshot' || (mechanism.reference === 'clone' && mechanism.referenceBytes === 4);
  const inFirst = lasting - (isShared ? reference : 0) + mostOf(first.slice(0, -3));
  const tensors = Math.max(inFirst, lasting + optimizer + mostOf(moments));
  const fixed = running.isCompiled
    ? runtime.bytes + bytesOf(scratchNumbers(shapes, workload, mechanism))
    : runtime.eagerBytes;
  const resident = fixed + (1 + runtime.share) * tensors;
  return { weights, gradients, optimizer, reference, activations, tensors, resident };
}

/** Until its first backward pass has run, the inputs of a compiled block are kept as well, for an eager one in its place. */
function withInputs({ sizes }: Shapes, workload: Workload, kept: Kept): Kept {
  const { tokens, targets } = countRows(workload);
  return {
    layers: kept.layers.map((numbers) => numbers + tokens * sizes.hidden),
    head: kept.head + targets * sizes.hidden,
  };
}

function mostOf(moments: readonly Moment[]): number {
  return bytesOf(Math.max(...moments.map(({ gradients, activations }) => gradients + activations)));
}

/** What executables make inside: a few matrices of logits, whole or of a chunk, and a block that bfloat16 is widened to. */
function scratchNumbers(shapes: Shapes, workload: Workload, mechanism: Mechanism): number {
  const scores = countRows(workload).targets * shapes.vocabularySize;
  const isWhole = mechanism.trains === 'all' && scores <= keptScores;
  const isWidened = mechanism.baseBytes === 2 || mechanism.referenceBytes === 2;
  const logits = runtime.logits * (isWhole ? scores : Math.min(scores, chunkScores));
  return logits + (isWidened ? largestBlock(shapes) : 0);
}

/** Numbers of adapters of rank `r` on all linears of the layers: `r * (inputs + outputs)` each. */
export function adapterNumbers({ blocks }: Shapes, r: number): number {
  const linears = blocks.filter(({ kind }) => kind === 'layer').flatMap(({ modules }) => modules);
  return linears.reduce((sum, { inputs, outputs }) => sum + r * (inputs + outputs), 0);
}

/** Numbers beside weights, moments and reference. Gradients count with what adding and scaling them holds for a while. */
interface Moment {
  readonly gradients: number;
  readonly activations: number;
}

/** What a step holds beside weights, moments and reference, at each of the moments when it may be most. */
function momentsOf(
  shapes: Shapes,
  { mechanism, workload, running, ranks, isMixed = false }: Setting,
  found: {
    readonly layers: readonly number[];
    readonly head: number;
    readonly trained: number;
    readonly adapters: number;
    readonly fromDisk: number;
  },
): Moment[] {
  const { vocabularySize, sizes, blocks, isTied, largest } = shapes;
  const { tokens, targets } = countRows(workload);
  const flowing = tokens * sizes.hidden;
  const isAll = mechanism.trains === 'all';
  const layers = blocks.filter(({ kind }) => kind === 'layer');
  const below = found.layers.map((_, index) => sum(found.layers.slice(0, index + 1)));
  const all = sum(found.layers);
  const headWeight = isAll ? vocabularySize * sizes.hidden : 0;
  const scores = targets * vocabularySize;
  const isOperand = running.isCompiled && isAll && scores >= largeProduct;
  const eager = running.isCompiled ? 0 : eagerNumbers(shapes, workload, isAll);

  // gradients of what is above a layer: whole while they are computed, of which a rank then keeps its part
  const ofLayer = isAll ? layers.map(({ parameters }) => parameters) : layers.map(() => found.adapters / layers.length);
  const above = ofLayer.map(
    (_, index) => shardOf(sum(ofLayer.slice(index + 1)), ranks) + (isTied ? headWeight : shardOf(headWeight, ranks)),
  );
  return [
    // the reference's pass, after the policy's; from disk it holds a block for a while
    { gradients: 0, activations: all + found.head + 2 * flowing + found.fromDisk },
    // the head's backward pass
    {
      gradients: headWeight,
      activations: all + found.head + (isOperand ? scores : 0) + 2 * targets * sizes.hidden + eager,
    },
    // each layer's
    ...ofLayer.map((own, index) => ({
      gradients: own + (above[index] as number),
      activations: (below[index] as number) + 2 * flowing + eager,
    })),
    // the embedding's, whose gradient is added to that of a tied head
    { gradients: found.trained + (isAll && isTied ? 2 : 1) * headWeight, activations: 0 },
    // the optimizer: one parameter at a time is scaled
    { gradients: found.trained + (isAll ? shardOf(largest, ranks) : 0), activations: 0 },
    { gradients: 0, activations: isMixed && isAll ? 3 * shardOf(largest, ranks) : 0 },
  ];
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

function referenceBytes(
  shapes: Shapes,
  { reference, referenceBytes: each, trains }: Mechanism,
  { base, adapters }: { readonly base: number; readonly adapters: number },
): number {
  if (reference === 'clone') return (trains === 'all' ? base : adapters) * each;
  if (reference === 'reload-memory') return base * each;
  if (reference === 'reload-disk') return largestBlock(shapes) * 4;
  return reference === 'adapter-snapshot' ? 4 * adapters : 0;
}

function largestBlock({ blocks }: Shapes): number {
  return Math.max(...blocks.map(({ parameters }) => parameters));
}

/** A tied head holds the embedding's matrix, which is there once. */
function tiedShare({ vocabularySize, sizes }: Shapes, ranks: number): number {
  return shardOf(vocabularySize * sizes.hidden, ranks);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
