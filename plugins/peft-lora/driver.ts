import type { Driver, Pass } from 'mooring';
import { failure } from './errors.ts';
import { type AdapterSet, trainedName } from './set.ts';

/** A driver whose passes compute with the adapter in use where they begin; a backward pass with that of its forward pass. Throws ADAPTER_NOT_TRAINED. */
export function switchingDriver(inner: Driver, set: AdapterSet): Driver {
  const begun = new Map<string, string | undefined>();
  const varied = (pass: Pass): Pass => ({ ...pass, variant: set.variantOf(pass.variant) });
  const { prepare } = inner;
  return {
    define: inner.define,
    ...(prepare === undefined ? {} : { prepare }),
    forward(asked) {
      const pass = varied(asked);
      if (pass.gradient) {
        if (set.of(pass.variant)?.name !== trainedName) throw failure('ADAPTER_NOT_TRAINED', { inUse: set.inUse });
        begun.set(pass.key, pass.variant);
      }
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
