import * as tf from '@tensorflow/tfjs';
import { failure } from './errors.ts';
import { registerSegmentSum } from './segmentSum.ts';
import { replaceWasmMatMul } from './wasmMatMul.ts';
import { registerWiden } from './widen.ts';

let starting: Promise<string> | undefined;

/**
 * Starts the WebAssembly engine, with SIMD, on one thread (its threaded build needs browser workers), and with the kernels
 * that training lacks there. Returns its version. Who asks while it starts waits for the same start: tfjs gives up the
 * first of two. Throws `ENGINE_BACKEND_FAILED`.
 */
export function loadWasm(): Promise<string> {
  starting ??= start().finally(() => {
    starting = undefined;
  });
  return starting;
}

async function start(): Promise<string> {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.rawListeners(event));
  // loaded only when wanted: the native engine does without its megabytes
  const { version_wasm } = await import('@tensorflow/tfjs-backend-wasm');
  registerSegmentSum('wasm');
  registerWiden('wasm');
  replaceWasmMatMul();
  replaceIdentity();
  if (!(await tf.setBackend('wasm'))) throw failure('ENGINE_BACKEND_FAILED', { name: 'wasm' });

  // its loader adds handlers for the whole process that throw again whatever they get, over the program's own
  for (const [index, event] of events.entries())
    for (const listener of process.rawListeners(event))
      if (!before[index]?.includes(listener)) process.removeListener(event, listener as () => void);
  return version_wasm;
}

/** The stock kernel copies: a snapshot of parameters, which are clones, would cost all their bytes at once. */
function replaceIdentity(): void {
  const backendName = 'wasm';
  tf.unregisterKernel(tf.Identity, backendName);
  tf.registerKernel({
    kernelName: tf.Identity,
    backendName,
    kernelFunc({ inputs, backend }) {
      const { dataId, shape, dtype } = inputs.x as tf.TensorInfo;
      (backend as tf.KernelBackend).incRef(dataId);
      return { dataId, shape, dtype };
    },
  });
}
