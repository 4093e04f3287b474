/**
 * Writes one message of the protocol buffers' wire format, field by field: enough for TensorFlow's graphs.
 * (https://protobuf.dev/programming-guides/encoding)
 */
export class Message {
  private readonly parts: Uint8Array[] = [];

  /** An integer, boolean or enum; negative numbers take ten bytes, as the format has it. */
  int(field: number, value: number): this {
    return this.tag(field, 0).varint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field: number, value: number): this {
    this.tag(field, 5).parts.push(new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.tag(field, 2).varint(BigInt(value.length)).parts.push(value);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  encode(): Uint8Array {
    return Buffer.concat(this.parts);
  }

  private tag(field: number, wireType: number): this {
    return this.varint(BigInt(field * 8 + wireType));
  }

  private varint(value: bigint): this {
    const bytes: number[] = [];
    for (let rest = value; ; rest >>= 7n) {
      if (rest < 128n) {
        this.parts.push(Uint8Array.from([...bytes, Number(rest)]));
        return this;
      }
      bytes.push(Number(rest & 127n) | 128);
    }
  }
}
