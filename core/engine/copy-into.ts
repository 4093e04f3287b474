import * as tf from '@tensorflow/tfjs';
import { uncounted } from './memory.ts';
import type { NativeBackend } from './native.ts';

/**
 * Writes a tensor's float32 values into memory that is already there. On the native engine TensorFlow writes them itself,
 * if it can work where `target` lies; reading them into JavaScript allocates as much anew each time, which costs more than
 * the copy: first use of memory, and garbage collections.
 */
export function copyInto(tensor: tf.Tensor, target: Float32Array): void {
  if (target.length === 0) return;
  if (isInPlace(target)) writeInPlace(tensor, target);
  else target.set(tensor.dataSync<'float32'>());
}

/** TensorFlow takes memory as it is only where it begins at a multiple of this, and copies it otherwise. */
const alignmentBytes = 64;

/** Whether TensorFlow writes to memory itself, tried once for each: where it begins cannot be seen from JavaScript. */
function isInPlace({ buffer, byteOffset }: Float32Array): boolean {
  if (tf.getBackend() !== 'tensorflow' || byteOffset % alignmentBytes !== 0) return false;
  const known = tried.get(buffer);
  if (known !== undefined) return known;
  const number = new Float32Array(buffer, byteOffset, 1);
  const isShared = tf.tidy(() => {
    number[0] = 0;
    writeInPlace(tf.scalar(1), number);
    return number[0] === 1;
  });
  tried.set(buffer, isShared);
  return isShared;
}

const tried = new WeakMap<ArrayBufferLike, boolean>();

/** By an operation of TensorFlow that changes its first input, here a tensor over `target`. */
function writeInPlace(tensor: tf.Tensor, target: Float32Array): void {
  const { binding, executeSingleOutput } = tf.backend() as tf.KernelBackend & NativeBackend;
  tf.tidy(() => {
    const T = { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
    const row = [1, target.length];
    const place = uncounted(() => tf.tensor(target, row));
    const inputs = [place, tf.tensor1d([0], 'int32'), tf.reshape(tensor, row)];
    uncounted(() => executeSingleOutput.call(tf.backend(), 'InplaceUpdate', [T], inputs));
  });
}
