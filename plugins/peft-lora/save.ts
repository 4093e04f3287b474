import type { ParameterStore } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import type { Adapter, AdapterTensor } from './folder/adapter.ts';
import { convertPissa } from './folder/convert-pissa.ts';
import { startView } from './pissa.ts';

/**
 * An adapter as PEFT's folders hold it, over the base as it was read: what PiSSA took out of the base is put back.
 * Every rank calls it, since parts of the adapter may be anywhere; where it is not written, `undefined` is returned and nothing kept.
 */
export async function savedForm(
  adapter: LoraAdapter,
  store: ParameterStore,
  isWritten: boolean,
): Promise<Adapter | undefined> {
  const { config } = adapter;
  const trained = await inView(adapter, store, 'policy', isWritten);
  if (config.initLoraWeights !== 'pissa') return isWritten ? { config, tensors: trained } : undefined;
  const start = await inView(adapter, store, startView, isWritten);
  return isWritten ? convertPissa({ config, tensors: trained }, { config, tensors: start }) : undefined;
}

async function inView({ parameters }: LoraAdapter, store: ParameterStore, view: string, isKept: boolean) {
  const tensors = new Map<string, AdapterTensor>();
  for (const { key, spec } of parameters) {
    await store.withGathered([spec.name], view, async () => {
      if (!isKept) return;
      const value = store.read(spec.name, view);
      const values = (await value.data().finally(() => value.dispose())) as Float32Array;
      tensors.set(key, { shape: spec.shape, values });
    });
  }
  return tensors;
}
