import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type * as tf from '@tensorflow/tfjs';
import { failure } from '../errors.ts';
import type { NativeBackend } from '../native.ts';
import type { TensorSpec, Value } from './graph.ts';
import { record } from './record.ts';
import { argumentName, encodeFunction, outputName } from './saved-model.ts';

/** A function that XLA has compiled, or will when it first runs. */
export interface Executable {
  /** Equal for executables that are one. */
  readonly digest: string;
  /** What must be given, in this order: inputs of the recording, or results that another executable yields. */
  readonly arguments: readonly Value[];
  /** The caller disposes the results. Throws COMPILE_FAILED. */
  run(tensors: readonly tf.Tensor[]): tf.Tensor[];
}

/** How many are kept; the one that has not run for longest goes first, and is made again where it is needed again. */
const mostExecutables = 128;

/** Turns recordings into executables; equal ones share one, whichever layer, or run of this process, they came from. */
export class Compiler {
  private static readonly shared = new WeakMap<NativeBackend, Compiler>();

  /** The one that all runs of this process share. */
  static of(backend: NativeBackend): Compiler {
    const known = Compiler.shared.get(backend) ?? new Compiler(backend);
    Compiler.shared.set(backend, known);
    return known;
  }

  readonly backend: NativeBackend;
  private readonly sessions = new Map<string, number>();
  /** Milliseconds spent so far: loading, and the first runs, in which XLA compiles. */
  milliseconds = 0;

  constructor(backend: NativeBackend) {
    this.backend = backend;
  }

  /** How many different executables there are. */
  get size(): number {
    return this.sessions.size;
  }

  /** The executable that computes `outputs`; values that `isCut` names are given to it, not computed. */
  executable(outputs: readonly Value[], isCut: (value: Value) => boolean = () => false): Executable {
    const { backend } = this;
    const { bytes, arguments: args } = encodeFunction(backend.binding, outputs, isCut);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const infos = args.map((_, index) => ({ name: argumentName(index) }));
    const names = outputs.map((_, index) => outputName(index));
    const run = (tensors: readonly tf.Tensor[]) => {
      const known = this.sessions.get(digest);
      if (known !== undefined) {
        this.sessions.delete(digest);
        this.sessions.set(digest, known);
        return backend.runSavedModel(known, [...tensors], infos, names);
      }
      const started = performance.now();
      try {
        const session = load(backend, bytes);
        for (const [unused] of this.sessions) if (this.sessions.size >= mostExecutables) this.drop(unused);
        this.sessions.set(digest, session);
        return backend.runSavedModel(session, [...tensors], infos, names);
      } catch (cause) {
        this.drop(digest);
        throw failure('COMPILE_FAILED', { reason: String(cause).split('\n')[0] as string }, { cause });
      } finally {
        this.milliseconds += performance.now() - started;
      }
    };
    return { digest, arguments: args, run };
  }

  dispose(): void {
    for (const digest of this.sessions.keys()) this.drop(digest);
  }

  private drop(digest: string): void {
    const session = this.sessions.get(digest);
    if (session !== undefined) this.backend.deleteSavedModel(session);
    this.sessions.delete(digest);
  }
}

/**
 * Compiles a tfjs function of tensors of these shapes. It may use the operations of `operations.ts`, and reads no value.
 * Throws COMPILE_OPERATION, COMPILE_FOREIGN_TENSOR and COMPILE_READS_VALUE; the compiled function COMPILE_FAILED.
 */
export function compile<Name extends string>(
  compiler: Compiler,
  specs: Readonly<Record<Name, TensorSpec>>,
  fn: (inputs: Readonly<Record<Name, tf.Tensor>>) => readonly tf.Tensor[],
): (inputs: Readonly<Record<Name, tf.Tensor>>) => tf.Tensor[] {
  const outputs = record(compiler.backend, specs, (scope) =>
    fn(scope.tensors as Record<Name, tf.Tensor>).map(scope.standsFor),
  );
  const executable = compiler.executable(outputs);
  const names = executable.arguments.flatMap((value) => (value.kind === 'input' ? [value.name as Name] : []));
  return (inputs) => executable.run(names.map((name) => inputs[name]));
}

/** TensorFlow reads the function from a file, which it does not need afterwards. */
function load(backend: NativeBackend, bytes: Uint8Array): number {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-compile-'));
  try {
    mkdirSync(path.join(folder, 'variables'));
    writeFileSync(path.join(folder, 'saved_model.pb'), bytes);
    return backend.loadSavedModelMetaGraph(folder, 'serve');
  } finally {
    rmSync(folder, { recursive: true });
  }
}
