import type { Driver, MovableParameters, ParameterStorage, ParameterStore, Reference } from 'mooring';

/** The view that holds the reference's parameters. */
export const view = 'reference';

/** The reference whose parameters are a snapshot of the policy's, scored in evaluation mode and without gradients. */
export function createClonedReference(
  store: ParameterStore,
  driver: Driver,
  { storage }: { readonly storage: ParameterStorage },
): Reference {
  const parameters: MovableParameters = {
    get names() {
      return store.names;
    },
    read: (name) => store.readShard(name, view),
    write: (name, value) => store.writeShard(name, view, value),
  };
  return {
    kind: 'clone',
    storage,
    parameters,
    fingerprint: () => store.fingerprint(view),
    release: () => store.removeView(view),
    bytesResident: () => store.bytesResident(view),
    score: (pass) => driver.forward({ ...pass, view, gradient: false, dropout: undefined }),
  };
}
