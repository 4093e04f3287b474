import * as tf from '@tensorflow/tfjs';
import { bufferOf, sharing } from './memory.ts';

/** Kernels whose output is their input under another shape: TensorFlow makes a new handle, and no new buffer. */
const aliasing = ['Reshape', 'ExpandDims'] as const;

/** Has the native engine's bytes counted by buffer where an operation only renames one. */
export function countAliases(): void {
  for (const kernelName of aliasing) {
    const kernel = tf.getKernel(kernelName, 'tensorflow');
    if (kernel === undefined || counted.has(kernel.kernelFunc)) continue;
    const kernelFunc: tf.KernelFunc = (given) =>
      sharing(bufferOf(given.inputs.x ?? given.inputs.input), () => kernel.kernelFunc(given));
    counted.add(kernelFunc);
    tf.unregisterKernel(kernelName, 'tensorflow');
    tf.registerKernel({ ...kernel, kernelFunc });
  }
}

const counted = new WeakSet<tf.KernelFunc>();
