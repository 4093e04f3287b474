import type { ParameterStore } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import type { Adapter, AdapterTensor } from './folder/adapter.ts';
import { convertPissa } from './pissa.ts';

/** An adapter as PEFT's folders hold it, with the policy's values. */
export async function savedForm(adapter: LoraAdapter, store: ParameterStore): Promise<Adapter> {
  const tensors = new Map<string, AdapterTensor>();
  for (const { key, spec } of adapter.parameters) {
    const value = store.read(spec.name, 'policy');
    const values = (await value.data().finally(() => value.dispose())) as Float32Array;
    tensors.set(key, { shape: spec.shape, values });
  }
  const saved = { config: adapter.config, tensors };
  return adapter.config.initLoraWeights === 'pissa' ? convertPissa(saved, adapter, store) : saved;
}
