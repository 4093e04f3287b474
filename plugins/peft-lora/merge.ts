import * as tf from '@tensorflow/tfjs';
import type { Model, ParameterStore } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import { failure } from './errors.ts';
import { namesOf, readerOf } from './initialize.ts';
import { weightWithLora } from './lora.ts';

/** What this rank holds of the base's parameters as they were, by name: what undoes a merge. */
export type Originals = ReadonlyMap<string, tf.Tensor>;

/** Writes an adapter into the base and returns what stood there, as reads that are held. Every rank calls it. Throws ADAPTER_MERGE_TIED. */
export async function mergeAdapter(adapter: LoraAdapter, model: Model, store: ParameterStore): Promise<Originals> {
  const modules = [...adapter.modules.values()];
  const copies = [...adapter.copies.values()];
  const names = new Set([...copies.map(({ parameter }) => parameter), ...modules.map(({ weight }) => weight)]);
  refuseTied(adapter, names, model);
  const originals = new Map([...names].map((name) => [name, tf.keep(store.readShard(name, 'policy'))]));
  for (const { own, parameter } of copies)
    store.writeShard(parameter, 'policy', store.readShard(own.spec.name, 'policy'));
  for (const module of modules) {
    const merged = async () =>
      tf.tidy(() =>
        weightWithLora(module, store.read(module.weight, 'policy'), readerOf(adapter, module.block, store)),
      );
    store.write(module.weight, 'policy', await store.withGathered(namesOf(module), 'policy', merged));
  }
  return originals;
}

/** Refuses to change parameters of the base that another block reads too. Throws ADAPTER_MERGE_TIED. */
export function refuseTied(adapter: LoraAdapter, parameters: Iterable<string>, { blocks }: Model): void {
  for (const parameter of parameters) {
    const readers = blocks.filter((block) => Object.values(block.parameters).includes(parameter));
    if (readers.length > 1) throw failure('ADAPTER_MERGE_TIED', { adapter: adapter.name, parameter });
  }
}

/** Puts the base back, bit for bit: the very buffers. */
export function unmergeAdapter(originals: Originals, store: ParameterStore): void {
  for (const [name, value] of originals) store.writeShard(name, 'policy', value);
}
