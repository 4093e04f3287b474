import { defineErrors } from 'mooring';

export const failure = defineErrors({
  REFERENCE_NOT_MOVABLE: {
    fact: 'The reference of this run is of the kind {kind}, which cannot be moved: {because}.',
    consequence: 'sync-ref-model cannot bring it nearer to the policy.',
    remedy: 'Use ref-clone, or with adapters a snapshot of the adapter, as the reference, or leave sync-ref-model out.',
  },
});

/** Why references of a kind cannot be moved, as clauses. */
export const whyFixed: Readonly<Record<string, string>> = {
  'adapters-off': 'it is the base that the policy shares, which is frozen',
  reload: 'it is a model of its own, read from its folder',
  cached: 'it is what a reference said once',
};
