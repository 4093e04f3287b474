/** A field of a message: an integer, a text, or bytes, which may be a message themselves. */
export type Field = readonly [number: number, value: number | string | Uint8Array];

/**
 * A message in the wire format of protocol buffers, as far as TensorFlow's graphs need it
 * (https://protobuf.dev/programming-guides/encoding). Repeated fields come one after another.
 */
export function message(...fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number') return [varint(number * 8), varint(value)];
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      return [varint(number * 8 + 2), varint(bytes.length), bytes];
    }),
  );
}

/** A field that holds a float, whose wire type a number does not tell. */
export function floatMessage(number: number, value: number): Uint8Array {
  return Buffer.concat([varint(number * 8 + 5), new Uint8Array(Float32Array.of(value).buffer)]);
}

/** Seven bits a byte, lowest first; negative numbers take ten bytes, as the format has it. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}
