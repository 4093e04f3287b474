import { bytesOf, type Dtype, toBfloat16, toFloat16, type Values } from './dtype.ts';
import { formatHeader, type TensorEntry } from './header.ts';

/** A data type that Mooring writes. */
export type WritableDtype = 'float32' | 'bfloat16' | 'float16' | 'int32';

/** A tensor to write. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: WritableDtype;
  readonly shape: readonly number[];
}

/** A tensor to write, and where: its first byte, counted from the beginning of the file. */
export interface PlacedTensor extends TensorSpec {
  readonly position: number;
  readonly elements: number;
  readonly elementBytes: number;
}

/** What a file will be: a pure function of what is written, so that all ranks know it. */
export interface FileLayout {
  readonly header: Uint8Array;
  /** In the order of the file. */
  readonly tensors: readonly PlacedTensor[];
  readonly bytes: number;
}

const storedAs: Record<WritableDtype, Dtype> = { float32: 'F32', bfloat16: 'BF16', float16: 'F16', int32: 'I32' };

/** Order and bytes are those of the safetensors library, whatever the order of `specs`. */
export function layOut(specs: readonly TensorSpec[], metadata: Readonly<Record<string, string>>): FileLayout {
  // the wider type first keeps every tensor aligned
  const ordered = specs.toSorted((one, other) => rank(one) - rank(other) || compareNames(one.name, other.name));
  const entries = new Map<string, TensorEntry>();
  let begin = 0;
  const placed = ordered.map((spec) => {
    const elementBytes = bytesOf(storedAs[spec.dtype]);
    const elements = spec.shape.reduce((product, size) => product * size, 1);
    const end = begin + elements * elementBytes;
    entries.set(spec.name, { dtype: storedAs[spec.dtype], shape: spec.shape, begin, end });
    const tensor = { ...spec, position: begin, elements, elementBytes };
    begin = end;
    return tensor;
  });
  const header = formatHeader({ entries, metadata });
  const tensors = placed.map((tensor) => ({ ...tensor, position: header.length + tensor.position }));
  return { header, tensors, bytes: header.length + begin };
}

/** How many values are narrowed at a time. */
export const pieceElements = 2 ** 20;

/** The bytes of values as they are stored, one piece after another. Values are rounded to nearest, ties to even. */
export function* encode(dtype: WritableDtype, values: Values): Generator<Uint8Array> {
  if (values instanceof Int32Array || dtype === 'float32') {
    yield bytesOfArray(values);
    return;
  }
  const narrow = dtype === 'bfloat16' ? toBfloat16 : toFloat16;
  for (let at = 0; at < values.length; at += pieceElements) {
    yield bytesOfArray(narrow(values.subarray(at, at + pieceElements)));
  }
}

function bytesOfArray({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function rank({ dtype }: TensorSpec): number {
  return ['float32', 'int32', 'bfloat16', 'float16'].indexOf(dtype);
}

/** By UTF-8 bytes, as the safetensors library sorts. */
function compareNames(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
