import * as tf from '@tensorflow/tfjs';

/**
 * Registers `UnsortedSegmentSum`, the gradient of `gather`, for a backend whose data JavaScript can read: wasm has none,
 * and that of cpu goes over the whole input once for each segment, which an embedding of 8192 rows does not bear.
 *
 * `x` `[...ids, ...row]` -> `[segments, ...row]`, each row added to the segment that its id names; an id outside
 * `[0, segments)` is dropped.
 */
export function registerSegmentSum(backendName: 'wasm' | 'cpu'): void {
  const kernelName = tf.UnsortedSegmentSum;
  if (tf.getKernel(kernelName, backendName)) tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({ kernelName, backendName, kernelFunc: segmentSum });
}

const segmentSum: tf.KernelFunc = ({ inputs, attrs, backend }) => {
  const { x, segmentIds } = inputs as { x: tf.TensorInfo; segmentIds: tf.TensorInfo };
  const { numSegments } = attrs as { numSegments: number };
  const engine = backend as tf.KernelBackend;
  const values = engine.readSync(x.dataId) as Float32Array | Int32Array;
  const ids = engine.readSync(segmentIds.dataId) as Int32Array;

  const shape = [numSegments, ...x.shape.slice(segmentIds.shape.length)];
  const width = tf.util.sizeFromShape(shape.slice(1));
  const sums = x.dtype === 'int32' ? new Int32Array(numSegments * width) : new Float32Array(numSegments * width);
  for (let row = 0; row < ids.length; row++) {
    const id = ids[row] as number;
    if (id < 0 || id >= numSegments) continue;
    for (let column = 0; column < width; column++) {
      const at = id * width + column;
      sums[at] = (sums[at] as number) + (values[row * width + column] as number);
    }
  }
  return { dataId: engine.write(sums, shape, x.dtype), shape, dtype: x.dtype };
};
