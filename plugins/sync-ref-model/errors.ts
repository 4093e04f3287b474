import { defineErrors } from 'mooring';

export const failure = defineErrors({
  REFERENCE_NOT_MOVABLE: {
    fact: 'The reference of this run is of the kind {kind}, which has no parameters to move.',
    consequence: 'sync-ref-model cannot bring it nearer to the policy.',
    remedy: 'Use ref-clone as the reference, or leave sync-ref-model out.',
  },
});
