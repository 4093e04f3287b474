import { createHash } from 'node:crypto';
import type { Tensor } from '@tensorflow/tfjs';

/**
 * SHA-256 over the names, shapes and values of tensors, whatever their order. Each tensor's float32 bytes are hashed
 * on their own and the digests are hashed by name, so only one tensor at a time, or a piece of it, is brought here.
 */
export class Fingerprint {
  private readonly digests = new Map<string, string>();

  /** Takes a tensor in: its values in their order, in any number of pieces. */
  async add(
    name: string,
    shape: readonly number[],
    pieces: AsyncIterable<Float32Array> | Iterable<Float32Array>,
  ): Promise<void> {
    const hash = createHash('sha256');
    for await (const piece of pieces) hash.update(piece);
    this.digests.set(name, JSON.stringify([name, shape, hash.digest('hex')]));
  }

  /** Of all that was added, in hexadecimal digits. */
  get value(): string {
    const whole = createHash('sha256');
    for (const name of [...this.digests.keys()].sort()) whole.update(this.digests.get(name) as string);
    return whole.digest('hex');
  }
}

/** The fingerprint of tensors that `read` makes; they are disposed here. */
export async function fingerprintOf(names: readonly string[], read: (name: string) => Tensor): Promise<string> {
  const fingerprint = new Fingerprint();
  for (const name of names) {
    const value = read(name);
    const { shape } = value;
    await fingerprint.add(name, shape, [(await value.data().finally(() => value.dispose())) as Float32Array]);
  }
  return fingerprint.value;
}
