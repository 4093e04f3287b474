import * as tf from '@tensorflow/tfjs';
import { failure } from '../errors.ts';
import type { NativeBackend, OpAttribute } from '../native.ts';
import { type Operation, type TensorSpec, type TypeName, types, type Value } from './graph.ts';
import { attributeOf, operationRules } from './operations.ts';

/** What a function would have executed. */
export interface Recording<Outputs> {
  readonly outputs: Outputs;
  /** How many operations came before `endForward` was called; all of them if it was not. */
  readonly forwardOperations: number;
}

/**
 * Runs a tfjs function on tensors that have shapes and no values, and notes the TensorFlow operations that the native
 * engine would have executed: nothing is computed, so recording costs no memory. `value(tensor)` says what a tensor
 * stands for. Throws COMPILE_OPERATION, COMPILE_FOREIGN_TENSOR and COMPILE_READS_VALUE.
 */
export function record<Outputs>(
  backend: NativeBackend,
  inputs: Readonly<Record<string, TensorSpec>>,
  fn: (tensors: Record<string, tf.Tensor>, value: (tensor: tf.Tensor) => Value, endForward: () => void) => Outputs,
): Recording<Outputs> {
  const values = new WeakMap<object, Value>();
  let operations = 0;
  let forwardOperations: number | undefined;

  const stand = (value: Value): tf.Tensor => {
    // a negative id is one that the backend never hands to TensorFlow
    const tensor = backend.createOutputTensor({ id: -1, shape: [...value.shape], dtype: value.type });
    values.set(tensor.dataId, value);
    return tensor;
  };
  const valueOf = (tensor: tf.Tensor): Value | undefined => values.get(tensor.dataId);
  const execute = (name: string, attributes: OpAttribute[], tensors: readonly tf.Tensor[]): tf.Tensor[] => {
    const rule = operationRules[name];
    if (rule === undefined) throw failure('COMPILE_OPERATION', { operation: name });
    const given = tensors.map((tensor) => {
      const value = valueOf(tensor);
      if (value === undefined) throw failure('COMPILE_FOREIGN_TENSOR', { operation: name });
      return value;
    });
    const operation: Operation = { name, attributes, inputs: given, index: operations++ };
    const specs = rule.specs(given, attributeOf(attributes));
    return specs.map((spec, output) => stand({ kind: 'result', ...spec, operation, output }));
  };

  const stub = {
    executeSingleOutput: (name: string, attributes: OpAttribute[], tensors: tf.Tensor[]) =>
      execute(name, attributes, tensors)[0] as tf.Tensor,
    executeMultipleOutputs: execute,
    write(data: ArrayLike<number>, shape: number[], dtype: tf.DataType) {
      const dataId = write.call(backend, data, shape, dtype);
      values.set(dataId, { kind: 'constant', shape, type: types[dtype as TypeName], values: data });
      return dataId;
    },
    readSync(dataId: object) {
      const value = values.get(dataId);
      if (value?.kind === 'constant') return value.values;
      throw failure('COMPILE_READS_VALUE', {});
    },
  };
  const { write } = backend;
  Object.assign(backend, stub);
  try {
    const outputs = tf.tidy(() => {
      const tensors = Object.entries(inputs).map(([name, spec]) => [name, stand({ kind: 'input', name, ...spec })]);
      const value = (tensor: tf.Tensor) => valueOf(tensor) as Value;
      return fn(Object.fromEntries(tensors), value, () => {
        forwardOperations = operations;
      }) as never;
    }) as Outputs;
    return { outputs, forwardOperations: forwardOperations ?? operations };
  } finally {
    // the class's own methods are back when these are gone
    for (const name of Object.keys(stub)) Reflect.deleteProperty(backend, name);
  }
}
