import * as tf from '@tensorflow/tfjs';
import { failure } from '../errors.ts';
import { uncounted } from '../memory.ts';
import type { NativeBackend, OpAttribute } from '../native.ts';
import { type Operation, type TensorSpec, type TypeName, types, type Value } from './graph.ts';
import { attributeOf, operationRules } from './operations.ts';

/** What a recorded function gets. */
export interface RecordScope {
  /** Stand for the inputs. */
  readonly tensors: Readonly<Record<string, tf.Tensor>>;
  /** What a tensor stands for. */
  readonly standsFor: (tensor: tf.Tensor) => Value;
  /** How many operations there are so far. */
  readonly operations: () => number;
}

/**
 * Runs a tfjs function on tensors that have shapes and no values, and notes the TensorFlow operations that the native
 * engine would have executed: nothing is computed, so recording costs no memory. Throws COMPILE_OPERATION,
 * COMPILE_FOREIGN_TENSOR and COMPILE_READS_VALUE.
 */
export function record<Result>(
  backend: NativeBackend,
  inputs: Readonly<Record<string, TensorSpec>>,
  fn: (scope: RecordScope) => Result,
): Result {
  const values = new WeakMap<object, Value>();
  let operations = 0;
  const stand = (value: Value): tf.Tensor => {
    // a negative id is one that the backend never hands to TensorFlow
    const tensor = uncounted(() => backend.createOutputTensor({ id: -1, shape: [...value.shape], dtype: value.type }));
    values.set(tensor.dataId, value);
    return tensor;
  };
  const execute = (name: string, attributes: OpAttribute[], tensors: readonly tf.Tensor[]): tf.Tensor[] => {
    const rule = operationRules[name];
    if (rule === undefined) throw failure('COMPILE_OPERATION', { operation: name });
    const given = tensors.map((tensor) => {
      const value = values.get(tensor.dataId);
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
      values.set(dataId, { kind: 'constant', shape, type: types[dtype as TypeName], values: compact(data, dtype) });
      return dataId;
    },
    readSync(dataId: object) {
      if (values.get(dataId)?.kind === 'constant') return readSync.call(backend, dataId);
      throw failure('COMPILE_READS_VALUE', {});
    },
  };
  const { write, readSync } = backend;
  Object.assign(backend, stub);
  try {
    let result: Result | undefined;
    tf.tidy(() => {
      const tensors = Object.entries(inputs).map(([name, spec]) => [name, stand({ kind: 'input', name, ...spec })]);
      const standsFor = (tensor: tf.Tensor) => values.get(tensor.dataId) as Value;
      result = fn({ tensors: Object.fromEntries(tensors), standsFor, operations: () => operations });
    });
    return result as Result;
  } finally {
    // the class's own methods are back when these are gone
    for (const name of Object.keys(stub)) Reflect.deleteProperty(backend, name);
  }
}

/** The recording outlives the function, and tfjs makes large constants: the gradient of a sum is a tensor of ones. */
function compact(values: ArrayLike<number>, dtype: tf.DataType): ArrayLike<number> {
  const isUniform = dtype === 'float32' && Array.from(values).every((one) => Object.is(one, values[0]));
  return isUniform && values.length > 1 ? [values[0] as number] : values;
}
