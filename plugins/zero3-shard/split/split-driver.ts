import * as tf from '@tensorflow/tfjs';
import type { Collectives, Driver, OutputGradients, Prediction, Rows } from 'mooring';
import { gatherOutputs } from './gather-outputs.ts';
import { type SplitRows, splitRows } from './split-rows.ts';

/**
 * A driver whose passes run this rank's rows, and give the outputs of all rows on every rank: so every rank computes the
 * whole loss and every figure, whatever couples rows, and none of them knows of ranks. Backward passes leave in the store
 * what this rank's rows add to the gradients: their sum over the ranks is the gradient. `runBlock` is not split: what it
 * runs, every rank runs. A rank alone gets `inner` as it is.
 */
export function splitDriver(inner: Driver, collectives: Collectives): Driver {
  const { rank, ranks } = collectives;
  if (ranks === 1) return inner;
  const known = new WeakMap<Rows, SplitRows>(); // the inner driver knows rows by their identity
  const splitOf = (rows: Rows) => {
    const split = known.get(rows) ?? splitRows(rows, rank, ranks);
    known.set(rows, split);
    return split;
  };
  const { prepare } = inner;
  return {
    define: inner.define,
    runBlock: (block, pass, inputs) => inner.runBlock(block, pass, inputs),
    differentiate: (outputs, keys, loss) => inner.differentiate(outputs, keys, loss),
    measure: (figures) => inner.measure(figures),
    release: () => inner.release(),
    ...(prepare && {
      prepare({ steps, sample }) {
        const own = (batch: readonly Rows[]) => batch.map((rows) => splitOf(rows).part);
        return prepare({ steps, sample: async () => (await sample()).map(own) });
      },
    }),
    async forward(pass) {
      const split = splitOf(pass.rows);
      const reference = pass.reference && predictionOf(pass.reference, split);
      const own = { ...pass, rows: split.part, reference };
      const outputs = await inner.forward(own).finally(() => reference?.states.dispose());
      return gatherOutputs(outputs, split, collectives, `the outputs of the pass ${pass.key}`);
    },
    backward(pass, gradients) {
      const split = splitOf(pass.rows);
      return inner.backward({ ...pass, rows: split.part }, gradientsOf(gradients, split));
    },
  };
}

/** What the reference predicts of this rank's targets. */
function predictionOf({ states, headWeight }: Prediction, { targets }: SplitRows): Prediction {
  return { states: take(states, targets), headWeight };
}

/** The gradients by the outputs of this rank's targets; those of rows that stand in are 0. Takes ownership. */
function gradientsOf(gradients: OutputGradients, { targets, isStandIn }: SplitRows): OutputGradients {
  const own = Object.entries(gradients).map(([name, gradient]) => [
    name,
    isStandIn ? tf.zeros([targets.length]) : take(gradient, targets),
  ]);
  tf.dispose(Object.values(gradients));
  return Object.fromEntries(own);
}

/** `[targets, ...]` */
function take(values: tf.Tensor, targets: Int32Array): tf.Tensor {
  return tf.tidy(() => tf.gather(values, tf.tensor1d(targets, 'int32')));
}
