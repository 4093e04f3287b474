import type { ParameterStore } from '../tokens.ts';

const known = new WeakMap<ParameterStore, { readonly names: string; readonly fingerprint: string }>();

/** The fingerprint of the policy's parameters that are not in a checkpoint; they do not change, so it is computed once. */
export async function frozenFingerprint(store: ParameterStore, saved: ReadonlySet<string>): Promise<string> {
  const frozen = store.names.filter((name) => !saved.has(name));
  const names = frozen.join('\n');
  const before = known.get(store);
  if (before?.names === names) return before.fingerprint;
  const fingerprint = frozen.length === 0 ? 'none' : await store.fingerprint('policy', frozen);
  known.set(store, { names, fingerprint });
  return fingerprint;
}
