import * as tf from '@tensorflow/tfjs';
import type { NativeBackend } from './native.ts';

/**
 * The kernel that widens pairs of bfloat16 numbers to float32, exactly: int32 `[rows, ...]` to `[2 * rows, ...]`, the low
 * halves first, then the high ones. tfjs has no operation that takes bits for a number. It has no gradient.
 */
export const widenKernel = 'WidenBfloat16';

/** Registers the kernel for a backend, once. */
export function registerWiden(backendName: 'tensorflow' | 'wasm' | 'cpu'): void {
  if (tf.getKernel(widenKernel, backendName)) return;
  const kernelFunc = backendName === 'tensorflow' ? withOperations : withNumbers;
  tf.registerKernel({ kernelName: widenKernel, backendName, kernelFunc });
}

/** Of TensorFlow's operations, so that it can be recorded: halves that lie one behind the other join fastest. */
const withOperations: tf.KernelFunc = ({ inputs, backend }) => {
  const { packed } = inputs as { packed: tf.Tensor };
  const native = backend as tf.KernelBackend & NativeBackend;
  const { TF_ATTR_INT, TF_ATTR_TYPE, TF_FLOAT, TF_INT32 } = native.binding;
  const T = { name: 'T', type: TF_ATTR_TYPE, value: TF_INT32 };
  const toFloat = [T, { name: 'type', type: TF_ATTR_TYPE, value: TF_FLOAT }];
  const half = (operation: string, operand: number) => {
    const constant = tf.scalar(operand, 'int32');
    const bits = native.executeSingleOutput(operation, [T], [packed, constant]);
    const numbers = native.executeSingleOutput('Bitcast', toFloat, [bits]);
    tf.dispose([constant, bits]);
    return numbers;
  };
  const halves = [half('LeftShift', 16), half('BitwiseAnd', -65536)];
  const axis = tf.scalar(0, 'int32');
  const joining = [
    { name: 'N', type: TF_ATTR_INT, value: 2 },
    { name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT },
    { name: 'Tidx', type: TF_ATTR_TYPE, value: TF_INT32 },
  ];
  const widened = native.executeSingleOutput('ConcatV2', joining, [...halves, axis]);
  tf.dispose([...halves, axis]);
  return widened;
};

/** Where JavaScript can read the data. */
const withNumbers: tf.KernelFunc = ({ inputs, backend }) => {
  const { packed } = inputs as { packed: tf.TensorInfo };
  const engine = backend as tf.KernelBackend;
  const pairs = engine.readSync(packed.dataId) as Int32Array;
  const bits = new Int32Array(2 * pairs.length);
  for (let at = 0; at < pairs.length; at++) {
    const pair = pairs[at] as number;
    bits[at] = pair << 16;
    bits[pairs.length + at] = pair & -65536;
  }
  const shape = [2 * (packed.shape[0] as number), ...packed.shape.slice(1)];
  return { dataId: engine.write(new Float32Array(bits.buffer), shape, 'float32'), shape, dtype: 'float32' };
};
