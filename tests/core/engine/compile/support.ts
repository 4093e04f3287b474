import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Compiler, compile } from '../../../../core/engine/compile/compile.ts';
import { type TensorSpec, type TypeName, types } from '../../../../core/engine/compile/graph.ts';
import { openEngine } from '../../../../core/engine/engine.ts';
import type { NativeBackend } from '../../../../core/engine/native.ts';

export type Tensors<Name extends string = string> = Readonly<Record<Name, tf.Tensor>>;
export type TensorFunction<Name extends string = string> = (inputs: Tensors<Name>) => readonly tf.Tensor[];

/** tfjs-node's backend, with what only tests ask of it. */
export interface TestedBackend extends NativeBackend {
  /** How many loaded SavedModels there are. */
  getNumOfSavedModels(): number;
}

/** The native engine, and a compiler of its own. */
export interface Native {
  readonly backend: TestedBackend;
  readonly compiler: Compiler;
}

export async function openNative(): Promise<Native> {
  const engine = await openEngine('native');
  const backend = engine.native?.backend as TestedBackend;
  return { backend, compiler: new Compiler(backend) };
}

export function specOf({ shape, dtype }: tf.Tensor): TensorSpec {
  return { shape, type: types[dtype as TypeName] };
}

export function specsOf<Name extends string>(inputs: Tensors<Name>): Record<Name, TensorSpec> {
  const specs = Object.entries<tf.Tensor>(inputs).map(([name, tensor]) => [name, specOf(tensor)]);
  return Object.fromEntries(specs) as Record<Name, TensorSpec>;
}

/** What a tensor is, to compare it with another. */
export interface Described {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly values: readonly number[];
}

/** Reads and disposes tensors. */
export function described(tensors: readonly tf.Tensor[]): Described[] {
  const read = (tensor: tf.Tensor) => Array.from(tensor.dataSync());
  const result = tensors.map((tensor) => ({ shape: tensor.shape, dtype: tensor.dtype, values: read(tensor) }));
  tf.dispose([...tensors]);
  return result;
}

/** The function's outputs, run operation by operation. */
export function eagerly<Name extends string>(inputs: Tensors<Name>, fn: TensorFunction<Name>): Described[] {
  return described(tf.tidy(() => [...fn(inputs)].map((output) => tf.clone(output))));
}

/** The function's outputs, compiled for the shapes of these inputs. */
export function compiled<Name extends string>(native: Native, inputs: Tensors<Name>, fn: TensorFunction<Name>) {
  return described(compile(native.compiler, specsOf(inputs), fn)(inputs));
}

/** Same shapes, types and values; XLA adds up in another order, and approximates exp, tanh and erf in another way. */
export function expectAlike(actual: readonly Described[], wanted: readonly Described[], tolerance = 1e-5): void {
  const kinds = (all: readonly Described[]) => all.map(({ shape, dtype }) => ({ shape, dtype }));
  expect(kinds(actual)).toEqual(kinds(wanted));
  for (const [at, { values }] of wanted.entries()) {
    const found = actual[at]?.values ?? [];
    const off = values.filter((value, index) => !isClose(found[index] as number, value, tolerance));
    expect({ output: at, off, found: off.length > 0 ? found : [] }).toEqual({ output: at, off: [], found: [] });
  }
}

function isClose(one: number, other: number, tolerance: number): boolean {
  return Object.is(one, other) || one === other || Math.abs(one - other) <= tolerance * Math.max(1, Math.abs(other));
}

/** Values without ties in [-2, 2), or in [0.5, 2.5) where they must be positive. */
export function sample(shape: readonly number[], seed = 0, isPositive = false): tf.Tensor {
  const unit = (at: number) => ((at + 1 + 100 * seed) * 0.754877666) % 1;
  const size = shape.reduce((product, each) => product * each, 1);
  const values = Float32Array.from({ length: size }, (_, at) => (isPositive ? 0.5 + 2 * unit(at) : 4 * unit(at) - 2));
  return tf.tensor(values, [...shape]);
}
