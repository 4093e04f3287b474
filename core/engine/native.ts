import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { countAliases } from './aliases.ts';
import { failure } from './errors.ts';
import { registerGather } from './gather.ts';
import { buildFolder, engineFolder, packageFolder, readInstalled } from './install/cache.ts';
import { applyTensorflowSettings, restoreRemovedUtil } from './settings.ts';
import { registerWiden } from './widen.ts';

/** An attribute of a TensorFlow operation; `type` is one of the binding's `TF_ATTR_...` numbers. */
export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** The compiled binding, as far as Mooring uses it. */
export interface NativeBinding {
  readonly TF_Version: string;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_BOOL: number;
  readonly TF_RESOURCE: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
}

/** tfjs-node's backend: runs any TensorFlow operation by name. */
export interface NativeBackend {
  readonly binding: NativeBinding;
  readonly isUsingGpuDevice: boolean;
  executeSingleOutput(name: string, attributes: OpAttribute[], inputs: tf.Tensor[]): tf.Tensor;
  executeMultipleOutputs(name: string, attributes: OpAttribute[], inputs: tf.Tensor[], outputs: number): tf.Tensor[];
  /** A tensor of tfjs for a tensor of TensorFlow. */
  createOutputTensor(tensor: { id: number; shape: number[]; dtype: number }): tf.Tensor;
  /** Takes values that come from JavaScript; returns the identity of the new buffer. */
  write(values: ArrayLike<number>, shape: number[], dtype: tf.DataType): object;
  readSync(dataId: object): ArrayLike<number>;
  /** Loads a SavedModel from its folder and returns the number of its session. */
  loadSavedModelMetaGraph(folder: string, tag: string): number;
  /** Runs nodes of a loaded graph by their names. */
  runSavedModel(
    session: number,
    inputs: tf.Tensor[],
    nodes: readonly { readonly name: string }[],
    outputs: readonly string[],
  ): tf.Tensor[];
  deleteSavedModel(session: number): void;
}

/** What only the native engine can do. */
export interface NativeRuntime {
  readonly backend: NativeBackend;
}

/** The slot through which the engine's package, whose own tfjs is a stub, gets the copy of tfjs that runs. */
export const tfjsSlot = Symbol.for('mooring/tfjs');

/**
 * Loads tfjs-node-gpu from the per-user cache into this thread and makes its backend the current one.
 * Throws `ENGINE_NOT_INSTALLED` or `ENGINE_LOAD_FAILED`.
 */
export async function loadNative(): Promise<NativeRuntime> {
  const folder = engineFolder();
  const installed = readInstalled(folder);
  if (installed === undefined) throw failure('ENGINE_NOT_INSTALLED', { folder });
  const build = buildFolder(installed, folder);
  applyTensorflowSettings();
  restoreRemovedUtil();
  Reflect.set(globalThis, tfjsSlot, tf);
  try {
    const load = createRequire(join(build, 'package.json'));
    const hush = load(join(packageFolder(build), 'lib', 'napi-v8', 'hush.node')) as { hush(): void; speak(): void };
    hush.hush();
    try {
      load('@tensorflow/tfjs-node-gpu');
      await tf.setBackend('tensorflow');
      registerGather();
      registerWiden('tensorflow');
      countAliases();
      return { backend: tf.backend() as tf.KernelBackend & NativeBackend };
    } finally {
      hush.speak();
    }
  } catch (cause) {
    throw failure('ENGINE_LOAD_FAILED', { folder: build, reason: (cause as Error).message.trim() }, { cause });
  }
}
