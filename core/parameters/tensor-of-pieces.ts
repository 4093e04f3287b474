import * as tf from '@tensorflow/tfjs';
import type { NativeBackend } from '../engine/native.ts';
import { variableCell } from './cell.ts';

/** What the WebAssembly engine offers beside tfjs's interface: a tensor's values where they lie. */
interface WasmBackend {
  typedArrayFromHeap(tensor: tf.Tensor): Float32Array;
}

/**
 * A float32 tensor of values that come piece by piece, in their order: beside it no more than one piece is in memory, and a
 * piece may be overwritten once the next is asked for. On any engine; the caller disposes it.
 */
export async function tensorOfPieces(
  shape: readonly number[],
  pieces: AsyncIterable<ArrayLike<number>>,
): Promise<tf.Tensor> {
  const size = shape.reduce((product, each) => product * each, 1);
  const filler = fillers[tf.getBackend()] ?? plainFiller;
  const { put, finish, discard } = filler(size, [...shape]);
  try {
    let at = 0;
    for await (const piece of pieces) {
      put(piece, at);
      at += piece.length;
    }
  } catch (error) {
    discard();
    throw error;
  }
  return finish();
}

interface Filler {
  put(piece: ArrayLike<number>, at: number): void;
  finish(): tf.Tensor;
  discard(): void;
}

const fillers: Readonly<Record<string, (size: number, shape: number[]) => Filler>> = {
  tensorflow(size, shape) {
    const backend = tf.backend() as tf.KernelBackend & NativeBackend;
    // made by TensorFlow: a tensor of an array of ours would share it, or copy it
    const cell = variableCell(backend, tf.fill([size], 0));
    return {
      put: (piece, at) =>
        tf.tidy(() => {
          const bounds = [[at], [at + piece.length], [1]].map((each) => tf.tensor1d(each, 'int32'));
          const inputs = [cell.variable as tf.Tensor, ...bounds, tf.tensor1d(piece as Float32Array)];
          backend.executeMultipleOutputs('ResourceStridedSliceAssign', [], inputs, 0);
        }),
      finish() {
        const flat = cell.read();
        cell.dispose();
        const value = flat.reshape(shape);
        flat.dispose();
        return value;
      },
      discard: () => cell.dispose(),
    };
  },

  wasm(_, shape) {
    const value = tf.fill(shape, 0);
    const backend = tf.backend() as tf.KernelBackend & WasmBackend;
    return {
      // asked for anew each time: the heap may have moved
      put: (piece, at) => backend.typedArrayFromHeap(value).set(piece, at),
      finish: () => value,
      discard: () => value.dispose(),
    };
  },
};

function plainFiller(size: number, shape: number[]): Filler {
  const values = new Float32Array(size);
  return {
    put: (piece, at) => values.set(piece, at),
    finish: () => tf.tensor(values, shape),
    discard: () => undefined,
  };
}
