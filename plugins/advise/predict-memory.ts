import { adapterNumbers, adapterShare } from './adapters.ts';
import type { AverageCopies } from './average.ts';
import { chunkScores, type Kept, keepsInputOnly, keptNumbers, keptScores, type Running } from './kept.ts';
import type { Mechanism } from './mechanisms.ts';
import { keptGradients, type Moment, momentsOf, type Stepping } from './moments.ts';
import { askedOf, modelOf, referenceMemory } from './reference-memory.ts';
import type { Demands } from './refusal.ts';
import type { Shapes } from './shapes.ts';
import { gatheredOf, parameterSizes, type Sharding, shardingDefaults, shareOf, sharesOf } from './sharding.ts';
import { countRows, type Workload } from './workload.ts';

/**
 * Bytes of one rank. `gradients`, `activations` and `live` are each as many as they become; they are not that at once,
 * since activations go as gradients come, so `tensors` is less than the sum.
 */
export interface MemoryPrediction {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  /** Of what it is while it is most: also of the average that it becomes; one that is cached goes before the first step. */
  readonly reference: number;
  /** What forward passes keep, what flows between blocks, and the head's logits. */
  readonly activations: number;
  /** Of blocks that are gathered from all ranks while they run, and of the next. */
  readonly live: number;
  /** Of tensors and variables at the moment of a step when it holds most: what the ledger's peak measures. */
  readonly tensors: number;
  /** With what runtime and compiler take: what the process holds. */
  readonly resident: number;
}

/** What is predicted: a step of a mechanism. */
export interface Setting extends Demands {
  readonly mechanism: Mechanism;
  readonly workload: Workload;
  readonly running: Running;
  /** Ranks that a sharded mechanism is spread over; others run on one. */
  readonly ranks: number;
  readonly adapterRank: number;
  /** Options of `zero3-shard`, in numbers of parameters, where they are not its defaults. */
  readonly sharding?: Partial<Omit<Sharding, 'stage' | 'ranks'>> | undefined;
  /** Whether sync-ref-model mixes the reference after a step: the softly moved copy is made beside it. */
  readonly isMixed?: boolean;
  /** What sync-ref-model keeps of an average that the reference becomes. */
  readonly average?: AverageCopies | undefined;
}

/**
 * Resident beyond tensors, fitted to compiled runs of the models of `tests/bench/models.ts` (`tests/bench/advise.ts`):
 * Node, TensorFlow and what XLA keeps of its compiling, a share of the tensors that the allocator holds back, and what
 * the head's executable makes inside, in matrices of its logits. Sharded, also memory that carries values and gradients
 * between ranks, in copies of the largest parameter.
 */
export const runtime = { bytes: 740e6, eagerBytes: 580e6, share: 0.12, logits: 3, copies: 5 } as const;

const bytesOf = (numbers: number) => 4 * numbers;

/** Predicts the bytes of the rank that holds most, from shapes alone. */
export function predictMemory(shapes: Shapes, setting: Setting): MemoryPrediction {
  const { mechanism, running, adapterRank, average } = setting;
  const sharding = shardingOf(setting);
  const workload = { ...setting.workload, pairs: Math.ceil(setting.workload.pairs / sharding.ranks) };
  const isAll = mechanism.trains === 'all';
  const sizes = parameterSizes(shapes);
  const base = sharesOf(sizes, sharding);
  const adapters = isAll ? 0 : adapterShare(shapes, adapterRank, sharding);
  const trained = isAll ? base : adapters;

  // stages 1 and 2 hold the whole policy beside the part that the optimizer changes
  const resident = sharding.stage === 3 ? 0 : gatheredOf(sizes, sharding);
  const weights = (base + resident) * (isAll ? 4 : mechanism.baseBytes) + bytesOf(adapters);
  const optimizer = 2 * bytesOf(trained);
  const referenceShapes = modelOf(mechanism, shapes, setting.referenceShapes);
  const reference = referenceMemory(mechanism, referenceShapes, sharding, trained, average);
  const kept = keptNumbers(shapes, workload, running, { isHeadTrained: isAll, adapterRank: isAll ? 0 : adapterRank });
  const stepping: Stepping = {
    ...{ mechanism, workload, running, sharding, kept, trained },
    adapters: isAll ? 0 : adapterNumbers(shapes, adapterRank),
    // from a cache it is read, and no model runs
    referenceShapes: mechanism.reference === 'cached' ? shapes : referenceShapes,
    moving: movingNumbers(setting, trained, isAll ? sizes.map((numbers) => shareOf(numbers, sharding)) : []),
  };
  const moments = momentsOf(shapes, stepping);
  const withInput = keepsInputOnly(running) ? kept : withInputs(shapes, workload, kept);
  const first = momentsOf(shapes, { ...stepping, kept: withInput });
  const nothing = { layers: kept.layers.map(() => 0), head: 0 };
  const ahead = momentsOf(shapes, { ...stepping, mechanism: askedOf(mechanism), referenceShapes, kept: nothing }).slice(
    0,
    1,
  );

  // in the first step the optimizer has nothing yet
  const tensors = Math.max(
    weights + reference.ahead + mostOf(ahead),
    weights + reference.first + mostOf(first.slice(0, -3)),
    weights + reference.later + optimizer + mostOf(moments),
  );
  const all = [...moments, ...first, ...ahead];
  const most = (part: keyof Moment) => bytesOf(Math.max(...all.map((moment) => moment[part])));
  const fixed = running.isCompiled
    ? runtime.bytes + bytesOf(scratchNumbers(shapes, workload, mechanism, referenceShapes))
    : runtime.eagerBytes;
  const copies = copiedNumbers(shapes, referenceShapes, sharding);
  return {
    ...{ weights, gradients: bytesOf(isAll ? keptGradients(sizes, sharding) : trained), optimizer },
    ...{ reference: reference.most, activations: most('activations'), live: most('live'), tensors },
    resident: fixed + bytesOf(copies) + (1 + runtime.share) * tensors,
  };
}

/**
 * What sync-ref-model holds while it moves the reference, one part after another: what mixing makes of one, or what
 * averaging does, beside three copies of all that was averaged before, whatever is kept later.
 */
function movingNumbers({ mechanism, isMixed = false, average }: Setting, trained: number, parts: readonly number[]) {
  if (average?.isUpdated !== true) return isMixed ? 3 * Math.max(0, ...parts) : 0;
  const more = 3 - (mechanism.referenceBytes === 2 ? average.besidePacked : average.besideWhole);
  let averaged = 0;
  const beside = parts.map((part) => {
    averaged += part;
    return more * (averaged - part) + 6 * part;
  });
  return Math.max(more * trained, ...beside);
}

function shardingOf({ mechanism: { stage }, ranks, sharding }: Setting): Sharding {
  return { ...shardingDefaults, ...sharding, stage, ranks: stage > 0 ? ranks : 1 };
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
  return bytesOf(Math.max(...moments.map(({ gradients, activations, live }) => gradients + activations + live)));
}

/** Of another model values are on their way, and no gradients. With stage 1 all gradients are, as they go and as they come. */
function copiedNumbers(shapes: Shapes, referenceShapes: Shapes, sharding: Sharding): number {
  if (sharding.stage === 1)
    return 2 * Math.min(sharding.reduceBucketSize, gatheredOf(parameterSizes(shapes), sharding));
  const own = gatheredOf([shapes.largest], sharding) * runtime.copies;
  const other = gatheredOf([referenceShapes.largest], sharding) * (runtime.copies / 2);
  return sharding.stage === 3 ? Math.max(own, other) : own;
}

/** What executables make inside: a few matrices of logits, whole or of a chunk, and a block that bfloat16 is widened to. */
function scratchNumbers(shapes: Shapes, workload: Workload, mechanism: Mechanism, referenceShapes: Shapes): number {
  const scores = countRows(workload).targets * shapes.vocabularySize;
  const isWhole = mechanism.trains === 'all' && scores <= keptScores;
  const logits = runtime.logits * (isWhole ? scores : Math.min(scores, chunkScores));
  const widened = [
    ...(mechanism.baseBytes === 2 ? shapes.blocks : []),
    ...(mechanism.referenceBytes === 2 ? referenceShapes.blocks : []),
  ];
  return logits + Math.max(0, ...widened.map(({ parameters }) => parameters));
}
