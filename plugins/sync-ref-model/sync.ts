import * as tf from '@tensorflow/tfjs';
import type { MovableParameters, ParameterStore } from 'mooring';

/**
 * Moves parameters of the reference toward the policy: reference = alpha * policy + (1 - alpha) * reference
 * (TR-DPO: Gorbatovski et al. 2024, "Learn Your Reference Model for Real Good Alignment", arXiv 2404.09656, eq. 3 and 4).
 * At alpha 1 the reference holds the policy's own buffers again, until training changes them.
 */
export function moveTowardPolicy(
  names: Iterable<string>,
  reference: MovableParameters,
  store: ParameterStore,
  alpha: number,
): void {
  for (const name of names) {
    const policy = store.readShard(name, 'policy');
    if (alpha === 1) {
      reference.write(name, policy);
      continue;
    }
    const before = reference.read(name);
    const after = tf.tidy(() => tf.add(tf.mul(before, 1 - alpha), tf.mul(policy, alpha)));
    tf.dispose([before, policy]);
    reference.write(name, after);
  }
}
