/** Bytes of an element, by the name of its data type in a safetensors header. */
const elementBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** A data type that a safetensors header may name. */
export type Dtype = keyof typeof elementBytes;

/** A data type whose values Mooring reads; the others may stand in a file beside them. */
export type ReadableDtype = 'F32' | 'BF16' | 'F16' | 'I32' | 'I64';

/** A tensor's values on this side: floating types as float32, integers as int32. */
export type Values = Float32Array | Int32Array;

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(elementBytes, name);
}

export function isReadable(dtype: Dtype): dtype is ReadableDtype {
  return ['F32', 'BF16', 'F16', 'I32', 'I64'].includes(dtype);
}

export function bytesOf(dtype: Dtype): number {
  return elementBytes[dtype];
}

/**
 * Turns `count` stored elements into values at the start of `buffer`: 16-bit types, which lie in the second half of what
 * the values will take, widen in place, front to back, so reading one needs no second buffer. Throws a `RangeError` for an I64 beyond 32 bits.
 */
export function widen(dtype: ReadableDtype, buffer: ArrayBuffer, count: number): Values {
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, 0, count);
    case 'I32':
      return new Int32Array(buffer, 0, count);
    case 'I64':
      return narrowIntegers(new BigInt64Array(buffer, 0, count));
    case 'BF16': {
      const stored = new Uint16Array(buffer, 2 * count, count);
      const bits = new Uint32Array(buffer, 0, count);
      for (let at = 0; at < count; at++) bits[at] = (stored[at] as number) << 16;
      return new Float32Array(buffer, 0, count);
    }
    case 'F16': {
      const stored = new Uint16Array(buffer, 2 * count, count);
      const values = new Float32Array(buffer, 0, count);
      const table = halfValues();
      for (let at = 0; at < count; at++) values[at] = table[stored[at] as number] as number;
      return values;
    }
  }
}

/** Rounds float32 values to bfloat16, to nearest and ties to even; NaN stays NaN. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(values.length);
  for (let at = 0; at < bits.length; at++) {
    const word = bits[at] as number;
    const isNotANumber = (word & 0x7fffffff) > 0x7f800000;
    rounded[at] = isNotANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return rounded;
}

/** Rounds float32 values to IEEE half precision, to nearest and ties to even; 65520 and above become infinite. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(values.length);
  for (let at = 0; at < bits.length; at++) rounded[at] = halfBits(bits[at] as number);
  return rounded;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
  // a subnormal half is a multiple of 2^-24, the spacing of float32 just above 0.5: adding 0.5 rounds to it
  scratchBits[0] = magnitude;
  scratch[0] = (scratch[0] as number) + 0.5;
  return sign | ((scratchBits[0] as number) - 0x3f000000);
}

let halfTable: Float32Array | undefined;

function halfValues(): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const exponent = (bits >>> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    const finite = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
    const special = fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
    return (bits & 0x8000 ? -1 : 1) * (exponent === 31 ? special : finite);
  });
  return halfTable;
}

function narrowIntegers(values: BigInt64Array): Int32Array {
  return Int32Array.from(values, (value) => {
    if (BigInt.asIntN(32, value) !== value) throw new RangeError(String(value));
    return Number(value);
  });
}
