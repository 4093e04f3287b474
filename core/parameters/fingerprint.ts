import { createHash } from 'node:crypto';
import type { Tensor } from '@tensorflow/tfjs';

/**
 * SHA-256 over the names, shapes and values of tensors, whatever their order. Each tensor's float32 bytes are hashed
 * on their own and the digests are hashed by name, so only one tensor at a time is brought here.
 */
export async function fingerprintOf(names: readonly string[], read: (name: string) => Tensor): Promise<string> {
  const whole = createHash('sha256');
  for (const name of names.toSorted()) {
    const value = read(name);
    const { shape } = value;
    const values = await value.data().finally(() => value.dispose());
    const digest = createHash('sha256').update(values).digest('hex');
    whole.update(JSON.stringify([name, shape, digest]));
  }
  return whole.digest('hex');
}
