import * as tf from '@tensorflow/tfjs';
import { type Result, type Value, walk } from '../engine/compile/graph.ts';
import { attributeOf } from '../engine/compile/operations.ts';
import type { NativeBackend, OpAttribute } from '../engine/native.ts';

/** Outputs whose last products are left to TensorFlow's own kernels. */
export interface SplitOutputs {
  /** What an executable has to yield, or be given, in their place. */
  readonly operands: readonly Value[];
  /** Finishes the outputs from their operands; the caller disposes them. */
  finish(backend: NativeBackend, tensorOf: (operand: Value) => tf.Tensor): tf.Tensor[];
}

/** From how many elements of a transposed operand on a product is taken out: the logits of a head, and nothing of layers. */
const largeElements = 2 ** 21;

/**
 * The gradient of a head's weight ends in a product with a transposed matrix of `[tokens, vocabulary]`, which XLA's CPU
 * backend copies first: 128 GFLOP/s where TensorFlow's own kernel, which reads it in place, has 200 (2 cores, 512 tokens
 * of 8192 words). So such products, and sums of them, are taken out of the executable.
 */
export function splitProducts(outputs: readonly Value[]): SplitOutputs {
  const readers = new Map<Value, number>();
  walk(outputs, (value) => {
    if (value.kind !== 'result') return;
    for (const input of new Set(value.operation.inputs)) readers.set(input, (readers.get(input) ?? 0) + 1);
  });
  const isApart = (value: Value): value is Result => {
    if (value.kind !== 'result') return false;
    if ((readers.get(value) ?? 0) !== (outputs.includes(value) ? 0 : 1)) return false;
    const { name, inputs, attributes } = value.operation;
    if (inputs.some(({ kind }) => kind === 'constant')) return false; // no executable yields it
    if (name === 'BatchMatMulV2')
      return (
        attributeOf(attributes)('adj_x') === true &&
        tf.util.sizeFromShape([...(inputs[0] as Value).shape]) >= largeElements
      );
    return (name === 'Add' || name === 'AddV2') && inputs.some(isApart);
  };
  const operands = new Set<Value>();
  const gather = (value: Value) => {
    if (isApart(value)) value.operation.inputs.forEach(gather);
    else operands.add(value);
  };
  outputs.forEach(gather);

  return {
    operands: [...operands],
    finish(backend, tensorOf) {
      const made = (value: Value): tf.Tensor => {
        if (!isApart(value)) return tensorOf(value);
        const { name, inputs, attributes } = value.operation;
        return backend.executeSingleOutput(name, attributes as OpAttribute[], inputs.map(made));
      };
      return tf.tidy(() => outputs.map(made));
    },
  };
}
