import { availableParallelism } from 'node:os';
import util from 'node:util';

/**
 * What TensorFlow reads from the environment when it loads, with the reason for each value.
 * This is the only place that sets such variables, and what the user has set stays.
 * OpenMP and OpenBLAS variables are not ours: other libraries in the process read them.
 */
export const tensorflowSettings = {
  /** Errors only: TensorFlow otherwise reports its processor features and devices on stderr. */
  TF_CPP_MIN_LOG_LEVEL: '2',
  /** Keeps freed buffers: large ones are otherwise mapped and zeroed anew in every step. */
  TF_CPU_ALLOCATOR_USE_BFC: 'true',
} as const;

/**
 * Sets TensorFlow's variables where the user has not.
 * It must run in the main thread, before the first load: a worker's `process.env` is a copy that TensorFlow never sees.
 */
export function applyTensorflowSettings(environment: NodeJS.ProcessEnv = process.env): void {
  for (const [name, value] of Object.entries(tensorflowSettings)) environment[name] ??= value;
}

/**
 * Divides the processors of a machine among `ranks` on it, so that together they do not compute with more threads than
 * there are processors. It must run in the main thread, before an engine is loaded; what the user has set stays.
 */
export function divideProcessors(
  ranks: number,
  where: 'threads' | 'processes',
  { environment = process.env, processors = availableParallelism() } = {},
): void {
  const each = Math.max(1, Math.floor(processors / ranks));
  // TensorFlow has one pool for all threads of a process: they share it, unless each is to compute in its own thread
  const threads = where === 'threads' && each > 1 ? processors : each;
  environment.TF_NUM_INTRAOP_THREADS ??= String(threads);
}

/**
 * Gives `node:util` back what tfjs-node 4.22 calls and newer Nodes lack: `isNullOrUndefined` went with Node 23, and
 * `isArray` warns since Node 22.
 */
export function restoreRemovedUtil(module: object = util): void {
  const isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  Object.assign(module, { isNullOrUndefined, isArray: Array.isArray });
}
