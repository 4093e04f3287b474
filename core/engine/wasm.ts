import * as tf from '@tensorflow/tfjs';
import { version_wasm } from '@tensorflow/tfjs-backend-wasm';
import { failure } from './errors.ts';

/** Starts the WebAssembly engine with the kernels that training needs; returns its version. */
export async function loadWasm(): Promise<string> {
  if (!(await tf.setBackend('wasm'))) throw failure('ENGINE_BACKEND_FAILED', { name: 'wasm' });
  return version_wasm;
}
