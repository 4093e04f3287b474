import type { Driver, Pass } from 'mooring';
import type { AdapterSet } from './set.ts';

/** A driver whose passes compute with the adapter in use where they begin; a backward pass with that of its forward pass. */
export function switchingDriver(inner: Driver, set: AdapterSet): Driver {
  const begun = new Map<string, string | undefined>();
  const varied = (pass: Pass): Pass => ({ ...pass, variant: set.variantOf(pass.variant) });
  const { prepare } = inner;
  return {
    define: inner.define,
    ...(prepare === undefined ? {} : { prepare }),
    forward(asked) {
      const pass = varied(asked);
      if (pass.gradient) begun.set(pass.key, pass.variant);
      return inner.forward(pass);
    },
    backward: (pass, gradient) => inner.backward({ ...pass, variant: begun.get(pass.key) }, gradient),
    runBlock: (block, pass, inputs) => inner.runBlock(block, varied(pass), inputs),
    differentiate: (outputs, keys, loss) => inner.differentiate(outputs, keys, loss),
    measure: (figures) => inner.measure(figures),
    release() {
      begun.clear();
      inner.release();
    },
  };
}
