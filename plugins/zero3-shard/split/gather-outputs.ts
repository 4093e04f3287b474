import * as tf from '@tensorflow/tfjs';
import type { Collectives, OutputName, Outputs } from 'mooring';
import type { SplitRows } from './split-rows.ts';

/** One output of a pass: of each target `columns` values, in `shape`. */
interface Output {
  readonly name: OutputName;
  readonly own: tf.Tensor;
  readonly shape: readonly number[];
  readonly columns: number;
}

/**
 * The outputs of all ranks' targets, in the order that these have in the whole pass, from those of this rank's: all
 * outputs in one gather. The head's weight is the same on all ranks and stays what it is. Takes ownership.
 * Throws RANK_FAILED.
 */
export async function gatherOutputs(
  { headWeight, ...ofTargets }: Outputs,
  split: SplitRows,
  collectives: Collectives,
  of: string,
): Promise<Outputs> {
  const outputs = outputsOf(ofTargets);
  try {
    const width = outputs.reduce((sum, { columns }) => sum + columns, 0);
    const own = split.isStandIn ? new Float32Array() : await flatten(outputs);
    const sizes = split.counts.map((count) => count * width);
    const all = await collectives.allGather(own, sizes, of);
    return { ...unflatten(all, outputs, split), ...(headWeight && { headWeight }) };
  } catch (error) {
    headWeight?.dispose();
    throw error;
  } finally {
    tf.dispose(outputs.map((output) => output.own));
  }
}

/** In an order that is the same on all ranks. */
function outputsOf(ofTargets: Outputs): Output[] {
  const entries = Object.entries(ofTargets) as [OutputName, tf.Tensor][];
  return entries
    .map(([name, own]) => {
      const shape = own.shape.slice(1);
      return { name, own, shape, columns: shape.reduce((product, size) => product * size, 1) };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One output after the other. */
async function flatten(outputs: readonly Output[]): Promise<Float32Array> {
  const values = await Promise.all(outputs.map(({ own }) => own.data<'float32'>()));
  const all = new Float32Array(values.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of values) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}

/** From one rank after the other, of each one output after the other. */
function unflatten(all: Float32Array, outputs: readonly Output[], { counts, order }: SplitRows): Outputs {
  const wholes = outputs.map(({ columns }) => new Float32Array(order.length * columns));
  let at = 0;
  let first = 0;
  for (const count of counts) {
    const targets = order.subarray(first, first + count);
    for (const [index, { columns }] of outputs.entries()) {
      for (const target of targets) {
        wholes[index]?.set(all.subarray(at, at + columns), target * columns);
        at += columns;
      }
    }
    first += count;
  }
  const tensors = outputs.map(({ name, shape }, index) => [
    name,
    tf.tensor(wholes[index] as Float32Array, [order.length, ...shape]),
  ]);
  return Object.fromEntries(tensors);
}
