import type { Payload } from 'mooring';

/** Values of a kind where they lie in memory that all threads see. */
export function viewLike<Data extends Payload>(
  like: Data,
  memory: SharedArrayBuffer,
  offset: number,
  length: number,
): Data {
  return new (typeOf(like))(memory, offset, length) as Data;
}

/** Values of a kind that are yet to be set: memory that is not zeroed for it. */
export function emptyLike<Data extends Payload>(like: Data, length: number): Data {
  const { buffer } = Buffer.allocUnsafeSlow(length * like.BYTES_PER_ELEMENT);
  return new (typeOf(like))(buffer, 0, length) as Data;
}

type PayloadType = new (memory: ArrayBufferLike, offset: number, length: number) => Payload;

function typeOf(values: Payload): PayloadType {
  if (values instanceof Float32Array) return Float32Array;
  return values instanceof Uint16Array ? Uint16Array : Uint8Array;
}
