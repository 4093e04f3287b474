import type { Driver, Model, ParameterStore, Reference } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import { contentOf } from './content.ts';
import { failure } from './errors.ts';
import type { Options } from './options.ts';
import { type AdapterSet, adaptersOff, trainedName, variantOf } from './set.ts';

/** The view that holds the adapter as it was. */
const view = 'reference';

type Kind = 'adapters-off' | 'adapter-snapshot';

/** A reference that is decided on when the adapter's values are there. */
export interface AdapterReference extends Reference {
  /** Decides, and takes the snapshot if it is one. Every rank calls it. Throws ADAPTER_REFERENCE_TRAINED. */
  begin(): Promise<void>;
}

/** What a reference is made of. */
export interface ReferenceParts extends Pick<Options, 'reference' | 'allowRawBase'> {
  readonly set: AdapterSet;
  readonly store: ParameterStore;
  readonly driver: Driver;
  readonly model: Model;
}

/**
 * The frozen model is the policy's own base: with its adapters off, at no cost, or with the adapter as it was, which
 * costs the adapter's bytes once it is trained.
 */
export function createAdapterReference(parts: ReferenceParts): AdapterReference {
  const { set, store, driver, reference, allowRawBase } = parts;
  const base = parts.model.parameters.map(({ name }) => name);
  let decided: { readonly kind: Kind; readonly differsBy?: string | undefined } = { kind: 'adapters-off' };
  const isSnapshot = () => decided.kind === 'adapter-snapshot';
  const trained = () => set.get(trainedName).parameters.map(({ spec }) => spec.name);
  const snapshot = {
    get names() {
      return trained().filter((name) => store.isTrainable(name));
    },
    read: (name: string) => store.readShard(name, view),
    write: (name: string, value: Parameters<ParameterStore['write']>[2]) => store.writeShard(name, view, value),
  };
  return {
    get kind() {
      return decided.kind;
    },
    get differsBy() {
      return decided.differsBy;
    },
    get parameters() {
      return isSnapshot() ? snapshot : undefined;
    },
    fingerprint: () =>
      isSnapshot() ? store.fingerprint(view, [...base, ...trained()]) : store.fingerprint('policy', base),
    async fingerprints() {
      const weights = await store.fingerprint('policy', base);
      if (!isSnapshot()) return { weights };
      const { r, alpha, rslora, dora, rankPattern, alphaPattern } = set.get(trainedName).config;
      const adapterOptions = JSON.stringify({ r, alpha, rslora, dora, rankPattern, alphaPattern });
      return { weights, adapter: await store.fingerprint(view, trained()), adapterOptions };
    },
    // with its adapters off it holds nothing, so that it can go on to answer
    get release() {
      return isSnapshot() ? () => store.removeView(view) : undefined;
    },
    bytesResident: () => (isSnapshot() ? store.bytesResident(view) : 0),
    score(pass) {
      const frozen = { ...pass, gradient: false, dropout: undefined };
      return isSnapshot()
        ? driver.forward({ ...frozen, view, variant: variantOf(trainedName) })
        : driver.forward({ ...frozen, view: 'policy', variant: adaptersOff });
    },
    async begin() {
      const adapter = set.get(trainedName);
      const differsBy = reference === 'adapter-snapshot' ? undefined : await difference(adapter, store);
      const kind = reference === 'auto' ? (differsBy === undefined ? 'adapters-off' : 'adapter-snapshot') : reference;
      if (kind === 'adapters-off' && differsBy !== undefined && !allowRawBase) {
        throw failure('ADAPTER_REFERENCE_TRAINED', { reason: differsBy });
      }
      decided = { kind: kind as Kind, differsBy: kind === 'adapters-off' ? differsBy : undefined };
      if (isSnapshot()) store.addView(view, { names: trained() });
    },
  };
}

/** Why the base alone is not what training starts from. */
async function difference(adapter: LoraAdapter, store: ParameterStore): Promise<string | undefined> {
  if (adapter.config.initLoraWeights === 'pissa') return 'PiSSA has taken the adapter out of the base';
  return contentOf(adapter, store);
}
