import * as tf from '@tensorflow/tfjs';

const backendName = 'wasm';

/**
 * Replaces wasm's matrix product, which takes its fast path (XNNPACK) only for two plain matrices. Measured, one with a
 * transposed operand takes 12 to 50 times as long, a batched one 12 times, and gradients are made of these. Here operands
 * are transposed first, and the matrices of a batch multiplied one by one.
 */
export function replaceWasmMatMul(): void {
  const stock = tf.getKernel(tf.BatchMatMul, backendName);
  if (stock.kernelFunc === matMul) return;
  plainMatMul = stock.kernelFunc;
  tf.unregisterKernel(tf.BatchMatMul, backendName);
  tf.registerKernel({ ...stock, kernelFunc: matMul });
}

let plainMatMul: tf.KernelFunc;

interface Backend extends tf.KernelBackend {
  readSync(dataId: tf.DataId, start?: number, end?: number): tf.backend_util.BackendValues;
}

/** `a` `[...batch, rows, inner]` times `b` `[...batch, inner, columns]`, either transposed in its last two dimensions. */
function matMul({ inputs, attrs, backend }: Parameters<tf.KernelFunc>[0]): tf.TensorInfo {
  const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
  const engine = backend as Backend;
  const a = transposeA ? transpose(inputs.a as tf.TensorInfo, engine) : (inputs.a as tf.TensorInfo);
  const b = transposeB ? transpose(inputs.b as tf.TensorInfo, engine) : (inputs.b as tf.TensorInfo);
  const isBatch = a.shape.length > 2 && a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();
  const product = isBatch ? oneByOne(a, b, engine) : plain(a, b, engine);
  if (transposeA) engine.disposeData(a.dataId);
  if (transposeB) engine.disposeData(b.dataId);
  return product;
}

function plain(a: tf.TensorInfo, b: tf.TensorInfo, backend: Backend): tf.TensorInfo {
  const attrs = { transposeA: false, transposeB: false };
  return plainMatMul({ inputs: { a, b }, attrs, backend }) as tf.TensorInfo;
}

function transpose(x: tf.TensorInfo, backend: Backend): tf.TensorInfo {
  const rank = x.shape.length;
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return tf
    .getKernel(tf.Transpose, backendName)
    .kernelFunc({ inputs: { x }, attrs: { perm }, backend }) as tf.TensorInfo;
}

function oneByOne(a: tf.TensorInfo, b: tf.TensorInfo, backend: Backend): tf.TensorInfo {
  const batch = a.shape.slice(0, -2);
  const shape = [...batch, a.shape.at(-2) as number, b.shape.at(-1) as number];
  const size = tf.util.sizeFromShape(shape.slice(-2));
  const values = new Float32Array(tf.util.sizeFromShape(shape));
  for (let index = 0; index < values.length / size; index++) {
    const pair = [matrix(a, index, backend), matrix(b, index, backend)] as const;
    const product = plain(...pair, backend);
    values.set(backend.readSync(product.dataId) as Float32Array, index * size);
    for (const { dataId } of [...pair, product]) backend.disposeData(dataId);
  }
  return { dataId: backend.write(values, shape, a.dtype), shape, dtype: a.dtype };
}

/** A copy of one matrix of a batch. */
function matrix(x: tf.TensorInfo, index: number, backend: Backend): tf.TensorInfo {
  const shape = x.shape.slice(-2);
  const size = tf.util.sizeFromShape(shape);
  const values = backend.readSync(x.dataId, index * size, (index + 1) * size);
  return { dataId: backend.write(values, shape, x.dtype), shape, dtype: x.dtype };
}
