import type { Driver, ParameterStore, Reference } from 'mooring';

const view = 'starting-policy';

/** The policy as it is when `begin` is called, for runs in which no plugin provides a reference: a snapshot that is let go. */
export interface StartingPolicy extends Reference {
  begin(): void;
}

/** Scores with a view over the policy's parameters, in evaluation mode and without gradients. */
export function createStartingPolicy(store: ParameterStore, driver: Driver): StartingPolicy {
  return {
    kind: 'clone',
    over: 'the starting policy',
    begin: () => store.addView(view),
    release: () => store.removeView(view),
    fingerprint: () => store.fingerprint(view),
    bytesResident: () => store.bytesResident(view),
    score: (pass) => driver.forward({ ...pass, view, gradient: false, dropout: undefined }),
  };
}
