import type { OpAttribute } from '../native.ts';

/** Element types by the numbers that TensorFlow gives them. */
export const types = { float32: 1, int32: 3, bool: 10 } as const;
export type TypeName = keyof typeof types;

/** Shape and element type of a tensor that is yet to come. */
export interface TensorSpec {
  readonly shape: readonly number[];
  readonly type: number;
}

/** An input of what was recorded. */
export interface Input extends TensorSpec {
  readonly kind: 'input';
  readonly name: string;
}

/** A tensor whose values were known while recording. */
export interface Constant extends TensorSpec {
  readonly kind: 'constant';
  /** A single one where all elements of a float32 constant are the same. */
  readonly values: ArrayLike<number>;
}

/** One output of a recorded operation. */
export interface Result extends TensorSpec {
  readonly kind: 'result';
  readonly operation: Operation;
  readonly output: number;
}

export type Value = Input | Constant | Result;

/** A TensorFlow operation as it was recorded; `index` is its place in the order of execution. */
export interface Operation {
  readonly name: string;
  readonly attributes: readonly OpAttribute[];
  readonly inputs: readonly Value[];
  readonly index: number;
}

/** What `visit` sees: every value that `outputs` are made of, operands first, each once; `isCut` values are not looked behind. */
export function walk(outputs: Iterable<Value>, visit: (value: Value) => void, isCut = (_: Value) => false): void {
  const seen = new Set<Value>();
  const enter = (value: Value) => {
    if (seen.has(value)) return;
    seen.add(value);
    if (value.kind === 'result' && !isCut(value)) for (const input of value.operation.inputs) enter(input);
    visit(value);
  };
  for (const output of outputs) enter(output);
}
