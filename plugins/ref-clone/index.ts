import { Driver, definePlugin, ParameterStore, Reference } from 'mooring';
import { createClonedReference, view } from './reference.ts';

/** The reference is a snapshot of the policy as it was loaded: free until training changes a parameter. */
export const refClone = definePlugin({
  name: 'ref-clone',
  apiVersion: 1,
  uses: { store: ParameterStore },
  apply({ hooks, provide, services }) {
    provide(Reference, {
      uses: { store: ParameterStore, driver: Driver },
      create: ({ store, driver }) => createClonedReference(store, driver),
    });
    hooks.refInit.tap(() => services.store.addView(view));
  },
});
