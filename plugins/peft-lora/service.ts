import * as tf from '@tensorflow/tfjs';
import { type Model, type ParameterStore, token } from 'mooring';
import { mergeAdapter, type Originals, unmergeAdapter } from './merge.ts';
import type { AdapterSet } from './set.ts';

/** Switches between adapters: what each pass that begins in `body`, and in all that it awaits, computes with. */
export interface Adapters {
  readonly names: readonly string[];
  /** The one in use here; `undefined` where they are off. */
  readonly active: string | undefined;
  /** Runs `body` on the base alone. What was in use before is in use again after it, whatever happens in it. Throws ADAPTER_IS_MERGED. */
  withoutAdapters<Result>(body: () => Result): Result;
  /** Runs `body` with another adapter, likewise. Throws ADAPTER_UNKNOWN and ADAPTER_IS_MERGED. */
  withAdapter<Result>(name: string, body: () => Result): Result;
  /** Switches for good, where no `with...` says otherwise. Throws ADAPTER_UNKNOWN and ADAPTER_IS_MERGED. */
  use(name: string): void;
  /**
   * Writes the adapter in use into the base, which then gives the same without it. Every rank calls it, and no pass runs
   * meanwhile. Throws ADAPTER_MERGE_TIED and ADAPTER_IS_MERGED.
   */
  merge(): Promise<void>;
  /** Puts back the base that `merge` changed, bit for bit. */
  unmerge(): void;
}

/** The service of a run with `peft-lora`. */
export const Adapters = token<Adapters>('Adapters', 'peft-lora');

/** The service over the adapters of a model. */
export function createAdapters(set: AdapterSet, model: Model, store: ParameterStore): Adapters & { dispose(): void } {
  let originals: Originals | undefined;
  return {
    get names() {
      return [...set.all.keys()];
    },
    get active() {
      return set.active;
    },
    withoutAdapters: (body) => set.within(undefined, body),
    withAdapter: (name, body) => set.within(name, body),
    use: (name) => set.use(name),
    async merge() {
      set.refuseMerged();
      const { active } = set;
      if (active === undefined) return;
      originals = await mergeAdapter(set.get(active), model, store);
      set.merged = active;
    },
    unmerge() {
      if (originals !== undefined) unmergeAdapter(originals, store);
      originals = undefined;
      set.merged = undefined;
    },
    /** Of a merge that was for good. */
    dispose() {
      tf.dispose([...(originals?.values() ?? [])]);
      originals = undefined;
    },
  };
}
