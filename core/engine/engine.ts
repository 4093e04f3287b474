import * as tf from '@tensorflow/tfjs';
import { MooringError } from '../errors.ts';
import { failure } from './errors.ts';
import { countBuffers, type MemoryMeter } from './memory.ts';
import { loadNative, type NativeRuntime } from './native.ts';
import { registerSegmentSum } from './segmentSum.ts';
import { loadWasm } from './wasm.ts';
import { registerWiden } from './widen.ts';

/** The engines there are, fastest first. */
export const engineNames = ['native', 'wasm', 'cpu'] as const;
export type EngineName = (typeof engineNames)[number];
export type EngineChoice = EngineName | 'auto';

/** The tensor engine that runs in this thread. */
export interface Engine extends MemoryMeter {
  readonly name: EngineName;
  /** Version of what computes: TensorFlow's, or that of the tfjs backend. */
  readonly version: string;
  /** Only on the native engine: TensorFlow's operations by name, and compiled functions. */
  readonly native?: NativeRuntime;
}

/**
 * Opens an engine and makes it the current backend of tfjs. `auto` is what `MOORING_ENGINE` says, else the native engine
 * where it is installed, else wasm with one line to `log` that says what this costs and how to change it.
 * Throws `ENGINE_UNKNOWN`, `ENGINE_NOT_INSTALLED`, `ENGINE_LOAD_FAILED` and `ENGINE_BACKEND_FAILED`.
 */
export async function openEngine(
  choice: EngineChoice = 'auto',
  log: (line: string) => void = console.warn,
): Promise<Engine> {
  const meter = countBuffers();
  const name = resolveChoice(choice);
  if (name !== 'auto') return { ...(await openers[name]()), ...meter };
  try {
    return { ...(await openers.native()), ...meter };
  } catch (error) {
    if (!(error instanceof MooringError)) throw error;
    log(fallbackLine(error));
    return { ...(await openers.wasm()), ...meter };
  }
}

const openers: Record<EngineName, () => Promise<Omit<Engine, keyof MemoryMeter>>> = {
  async native() {
    const native = await loadNative();
    return { name: 'native', version: native.backend.binding.TF_Version, native };
  },
  async wasm() {
    return { name: 'wasm', version: await loadWasm() };
  },
  async cpu() {
    registerSegmentSum('cpu');
    registerWiden('cpu');
    if (!(await tf.setBackend('cpu'))) throw failure('ENGINE_BACKEND_FAILED', { name: 'cpu' });
    Reflect.set(tf.backend(), 'firstUse', false); // or it advertises tfjs-node, in a banner
    return { name: 'cpu', version: tf.version_cpu };
  },
};

function resolveChoice(choice: EngineChoice): EngineChoice {
  const fromUser = choice === 'auto' && process.env.MOORING_ENGINE;
  const name = fromUser || choice;
  const known: readonly string[] = ['auto', ...engineNames];
  if (known.includes(name)) return name as EngineChoice;
  throw failure('ENGINE_UNKNOWN', { name, origin: fromUser ? 'MOORING_ENGINE' : 'openEngine' });
}

/** Measured on 2 cores: 30 against 150 GFLOP/s in 1024 x 1024 products, 1.4 against 0.22 s for a small decoder's loss and gradients. */
function fallbackLine(error: MooringError): string {
  const why = error.code !== 'ENGINE_NOT_INSTALLED' ? ` ${error.entry.fact}` : '';
  return `Running on the wasm engine, where a training step takes about 6 times as long as on the native one; \`mooring engine install\` sets that up.${why}`;
}
