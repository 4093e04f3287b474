import type { AverageCopies } from './average.ts';
import type { Mechanism } from './mechanisms.ts';
import type { Shapes } from './shapes.ts';
import { gatheredOf, parameterSizes, type Sharding, sharesOf } from './sharding.ts';

/** Bytes that the reference takes of one rank. A block that is read from disk is there only while it runs: that is of a moment. */
export interface ReferenceMemory {
  /** As many as they become. */
  readonly most: number;
  /** Before the first step, while a cache asks it for all that the run will. */
  readonly ahead: number;
  /** In the first step, in which a clone shares the policy's buffers. */
  readonly first: number;
  readonly later: number;
}

/** The mechanism while its reference is asked: under a cache, that of the reference beneath. */
export function askedOf(mechanism: Mechanism): Mechanism {
  const { reference, over = 'clone' } = mechanism;
  return reference === 'cached' ? { ...mechanism, reference: over } : mechanism;
}

/** The model that the reference runs: only reloading has another than the policy. */
export function modelOf(mechanism: Mechanism, shapes: Shapes, referenceShapes: Shapes | undefined): Shapes {
  return askedOf(mechanism).reference.startsWith('reload') ? (referenceShapes ?? shapes) : shapes;
}

/** Numbers of the largest block that is read from disk. */
export function blockFromDisk(model: Shapes, sharding: Sharding): number {
  return Math.max(...model.blocks.map(({ sizes }) => sharesOf(sizes, ofOther(sharding))));
}

/** Predicts them. `trained`: numbers that are trained, of this rank. */
export function referenceMemory(
  mechanism: Mechanism,
  model: Shapes,
  sharding: Sharding,
  trained: number,
  average: AverageCopies | undefined,
): ReferenceMemory {
  const asked = askedOf(mechanism);
  const own = ownBytes(asked, model, sharding, trained);
  const isPacked = asked.referenceBytes === 2;
  const isShared = asked.reference === 'adapter-snapshot' || (asked.reference === 'clone' && !isPacked);
  const isFromDisk = asked.reference === 'reload-disk';
  const ahead = isShared || isFromDisk ? 0 : own;
  if (mechanism.reference === 'cached') return { most: isShared ? 0 : own, ahead, first: 0, later: 0 };
  const copies = average === undefined ? 0 : 4 * trained * average[isPacked ? 'besidePacked' : 'besideWhole'];
  return { most: own + copies, ahead, first: ahead, later: (isFromDisk ? 0 : own) + copies };
}

/** With stages 1 and 2 a clone is whole beside a view of the part, as the policy is, and another model is whole only. */
function ownBytes(mechanism: Mechanism, model: Shapes, sharding: Sharding, trained: number): number {
  const { reference, referenceBytes: each, trains } = mechanism;
  const sizes = parameterSizes(model);
  const resident = sharding.stage === 3 || trains === 'adapters' ? 0 : gatheredOf(sizes, sharding);
  if (reference === 'clone') return (trained + resident) * each;
  if (reference === 'reload-memory') return sharesOf(sizes, ofOther(sharding)) * each;
  if (reference === 'reload-disk') return 4 * blockFromDisk(model, sharding);
  return reference === 'adapter-snapshot' ? 4 * trained : 0;
}

/** Another model is split with stage 3 only. */
function ofOther(sharding: Sharding): Sharding {
  return sharding.stage === 3 ? sharding : { ...sharding, ranks: 1 };
}
