import type { ParameterStore } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import type { Adapter, AdapterTensor } from './folder/adapter.ts';
import { convertPissa } from './folder/convert-pissa.ts';
import { startView } from './pissa.ts';

/** An adapter as PEFT's folders hold it, over the base as it was read: what PiSSA took out of the base is put back. */
export async function savedForm(adapter: LoraAdapter, store: ParameterStore): Promise<Adapter> {
  const trained = await inView(adapter, store, 'policy');
  if (adapter.config.initLoraWeights !== 'pissa') return trained;
  return convertPissa(trained, await inView(adapter, store, startView));
}

async function inView({ config, parameters }: LoraAdapter, store: ParameterStore, view: string): Promise<Adapter> {
  const tensors = new Map<string, AdapterTensor>();
  for (const { key, spec } of parameters) {
    const value = store.read(spec.name, view);
    const values = (await value.data().finally(() => value.dispose())) as Float32Array;
    tensors.set(key, { shape: spec.shape, values });
  }
  return { config, tensors };
}
