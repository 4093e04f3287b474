import * as tf from '@tensorflow/tfjs';
import type { NativeBackend, OpAttribute } from './native.ts';

/**
 * Replaces tfjs-node's kernel of `tf.gather`, which reads all indices back to check them: TensorFlow checks them itself,
 * and while a block is recorded for the compiler there is nothing to read.
 */
export function registerGather(): void {
  if (tf.getKernel('GatherV2', 'tensorflow')) tf.unregisterKernel('GatherV2', 'tensorflow');
  tf.registerKernel({ kernelName: 'GatherV2', backendName: 'tensorflow', kernelFunc: gather });
}

const gather: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, indices } = inputs as { x: tf.Tensor; indices: tf.Tensor };
  const { axis, batchDims } = attrs as { axis: number; batchDims: number };
  const native = backend as tf.KernelBackend & NativeBackend;
  const { TF_ATTR_INT, TF_ATTR_TYPE, TF_FLOAT, TF_INT32, TF_BOOL } = native.binding;
  const type = x.dtype === 'float32' ? TF_FLOAT : x.dtype === 'bool' ? TF_BOOL : TF_INT32;
  const attributes: OpAttribute[] = [
    { name: 'batch_dims', type: TF_ATTR_INT, value: batchDims },
    { name: 'Tparams', type: TF_ATTR_TYPE, value: type },
    { name: 'Tindices', type: TF_ATTR_TYPE, value: TF_INT32 },
    { name: 'Taxis', type: TF_ATTR_TYPE, value: TF_INT32 },
  ];
  const axisTensor = tf.scalar(axis, 'int32');
  const result = native.executeSingleOutput('GatherV2', attributes, [x, indices, axisTensor]);
  axisTensor.dispose();
  return result;
};
