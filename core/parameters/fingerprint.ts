import { createHash } from 'node:crypto';
import type { Tensor } from '@tensorflow/tfjs';

/**
 * SHA-256 over the names, shapes and values of tensors, whatever their order. Each tensor's float32 bytes are hashed
 * on their own and the digests are hashed by name, so only one tensor at a time is brought here.
 */
export class Fingerprint {
  private readonly digests = new Map<string, string>();

  /** Takes a tensor in; it stays the caller's. */
  async add(name: string, value: Tensor): Promise<void> {
    const digest = createHash('sha256')
      .update(await value.data())
      .digest('hex');
    this.digests.set(name, JSON.stringify([name, value.shape, digest]));
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
    await fingerprint.add(name, value).finally(() => value.dispose());
  }
  return fingerprint.value;
}
