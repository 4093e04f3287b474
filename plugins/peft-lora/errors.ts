import { defineErrors } from 'mooring';

/** Errors of adapters in a run; those of their folders are in `folder/errors.ts`. */
export const failure = defineErrors({
  ADAPTER_DROPOUT_ON_HEAD: {
    fact: 'The head "{module}" carries LoRA with a dropout of {dropout}.',
    consequence: 'The head reads its weight as a whole, so no dropout can fall on its input.',
    remedy: 'Set `dropout: 0`, or leave the head out of `targetModules`.',
  },
  ADAPTER_IS_MERGED: {
    fact: 'The adapter "{adapter}" is merged into the base.',
    consequence: 'Nothing can be computed with other adapters or without any: the base itself is changed.',
    remedy: 'Call `unmerge()` first.',
  },
  ADAPTER_MERGE_TIED: {
    fact: 'The adapter "{adapter}" changes "{parameter}", which another block reads too.',
    consequence: 'The base was not changed: the other block would change with it.',
    remedy: 'Keep the adapter beside the base, without PiSSA, or train one that leaves this module out.',
  },
  ADAPTER_NEEDS_SVD: {
    fact: 'PiSSA needs a singular value decomposition, which the engine {engine} does not have.',
    consequence: 'No adapter was made.',
    remedy: 'Use the native engine (`mooring engine install`), or `initialization: default`.',
  },
  ADAPTER_NOT_TRAINED: {
    fact: 'A pass with gradients began where {inUse}.',
    consequence: 'The adapter that is trained, "default", has no part in it, so the step would change nothing.',
    remedy:
      'Switch within `withAdapter` or `withoutAdapters`, and end a merge by `unmerge()`, before training goes on.',
  },
  ADAPTER_RANK_TOO_HIGH: {
    fact: 'PiSSA is to take {r} singular values of "{module}", which has {most}.',
    consequence: 'No adapter was made.',
    remedy: 'Set `r`, or for this module a `rankPattern`, to {most} at most.',
  },
  ADAPTER_REFERENCE_TRAINED: {
    fact: 'The reference is to be the base with its adapters off, and {reason}.',
    consequence: 'The policy would start away from its reference, which few want.',
    remedy: 'Use `reference: auto` or `adapter-snapshot`; if the raw base is meant, say `allowRawBase: true`.',
  },
  ADAPTER_UNKNOWN: {
    fact: 'There is no adapter "{adapter}".',
    consequence: 'Nothing was switched.',
    remedy: 'There are: {names}.',
  },
});
