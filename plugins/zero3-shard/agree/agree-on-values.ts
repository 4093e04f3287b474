import { createHash } from 'node:crypto';
import { type Collectives, isWhole, type ParameterStore } from 'mooring';
import { agreeOn } from './agree-on-run.ts';

/**
 * Makes sure that what every rank holds whole is the same on all, now that all is loaded: small parameters, and adapters,
 * whose files nobody compared. Throws RANKS_DIFFER, on every rank, and RANK_FAILED.
 */
export async function agreeOnValues(collectives: Collectives, store: ParameterStore): Promise<void> {
  if (collectives.ranks === 1) return;
  const digests: Record<string, string> = {};
  for (const name of store.names.filter((name) => isWhole(store, name))) {
    const value = store.readShard(name, 'policy');
    const { buffer, byteOffset, byteLength } = await value.data().finally(() => value.dispose());
    const hash = createHash('sha256').update(new Uint8Array(buffer, byteOffset, byteLength));
    digests[`parameter ${name}`] = hash.digest('hex').slice(0, 12);
  }
  await agreeOn(collectives, digests);
}
