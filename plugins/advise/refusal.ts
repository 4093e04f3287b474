import type { Mechanism } from './mechanisms.ts';
import type { Shapes } from './shapes.ts';

/** What mechanisms are asked for beside memory. */
export interface Demands {
  /** Another model than the policy's, which is to be the reference. */
  readonly referenceShapes?: Shapes | undefined;
  /** Whether sync-ref-model moves the reference. */
  readonly isMoved?: boolean;
  /** Whether the policy starts from an adapter that may be trained already. */
  readonly isAdapterTrained?: boolean;
  /** Whether the loss compares predictions over the vocabulary. */
  readonly isCompared?: boolean;
}

/** Why a mechanism is refused whatever the memory, as a sentence; `undefined` where it is not. */
export function refusalOf({ reference }: Mechanism, { vocabularySize }: Shapes, demands: Demands): string | undefined {
  const { referenceShapes: other, isMoved = false, isAdapterTrained = false, isCompared = false } = demands;
  const isReloaded = reference.startsWith('reload');
  if (other !== undefined && !isReloaded) return 'Its reference is the policy as it began, not another model.';
  if (other !== undefined && other.vocabularySize !== vocabularySize)
    return `The vocabularies differ: ${vocabularySize} words, and ${other.vocabularySize} of the reference.`;
  if (isMoved && reference !== 'clone' && reference !== 'adapter-snapshot')
    return 'Its reference has nothing that sync-ref-model could move.';
  if (isAdapterTrained && reference === 'adapters-off') return 'Its reference is the base without the trained adapter.';
  if (isCompared && reference === 'cached') return 'It keeps a number for each token, not what the exact KL compares.';
  return undefined;
}
