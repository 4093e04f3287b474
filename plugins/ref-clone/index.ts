import { Driver, definePlugin, ParameterStore, Reference } from 'mooring';
import { z } from 'zod';
import { createClonedReference, view } from './reference.ts';

/** The reference is a snapshot of the policy as it was loaded: free until training changes a parameter. */
export const refClone = definePlugin({
  name: 'ref-clone',
  apiVersion: 1,
  options: z.strictObject({ storage: z.enum(['float32', 'bfloat16']).default('float32') }),
  uses: { store: ParameterStore },
  apply({ hooks, options, provide, services }) {
    provide(Reference, {
      uses: { store: ParameterStore, driver: Driver },
      create: ({ store, driver }) => createClonedReference(store, driver, options),
    });
    hooks.refInit.tap(() => services.store.addView(view, options));
  },
});
