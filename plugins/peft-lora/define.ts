import * as tf from '@tensorflow/tfjs';
import type { DefineParameter, Model, ParameterStore, Random } from 'mooring';
import { type AdapterParameter, type LoraAdapter, placeAdapter } from './adapter.ts';
import { failure } from './errors.ts';
import { type AdapterTensor, readAdapter } from './folder/adapter.ts';
import { checkAdapter, refuseChangedBase } from './folder/check-adapter.ts';
import type { AdapterConfig } from './folder/config.ts';
import { refuseIdleExclusions } from './folder/targets.ts';
import { freshValues } from './initialize.ts';

/** Where adapters are defined. */
export interface Place {
  readonly model: Model;
  readonly store: ParameterStore;
  readonly define: DefineParameter;
}

/** Defines a fresh adapter. What is made of the base is zero until `fillFromBase`. Throws what `resolveTargets` does, and ADAPTER_DROPOUT_ON_HEAD. */
export function defineFresh(name: string, config: AdapterConfig, place: Place, random: Random): LoraAdapter {
  const adapter = placeAdapter(name, config, place.model);
  refuseDropoutOnHead(adapter);
  refuseIdleExclusions(config, place.model);
  const values = freshValues(adapter, random);
  return defined(adapter, place, (parameter) => values.get(parameter) as tf.Tensor);
}

/**
 * Defines the adapter of a PEFT folder, an absolute path; `changes` are to its config. Throws what reading and matching it do,
 * ADAPTER_BASE_CHANGED.
 */
export async function defineFromFolder(
  name: string,
  folder: string,
  changes: Partial<AdapterConfig>,
  place: Place,
): Promise<LoraAdapter> {
  const read = await readAdapter(folder);
  refuseChangedBase(read.config, folder);
  const adapter = placeAdapter(name, { ...read.config, ...changes }, place.model, new Set(read.tensors.keys()));
  checkAdapter(read, adapter.layout, folder);
  return defined(adapter, place, ({ key }) => {
    const { shape, values } = read.tensors.get(key) as AdapterTensor;
    return tf.tensor(values, [...shape]);
  });
}

function defined(adapter: LoraAdapter, { define, store }: Place, initial: (parameter: AdapterParameter) => tf.Tensor) {
  const { parameters, layout } = adapter;
  // weights that PEFT saved beside the adapter, because it could not know that they are the base's, are not trained
  const untrained = new Set(layout.baseCopies.map(({ key }) => key));
  for (const parameter of parameters) {
    const { block, local, spec, key } = parameter;
    define(block, local, spec, initial(parameter));
    if (untrained.has(key)) store.setTrainable(spec.name, false);
  }
  return adapter;
}

/** Throws ADAPTER_DROPOUT_ON_HEAD. */
export function refuseDropoutOnHead({ modules, config: { dropout } }: LoraAdapter): void {
  const head = [...modules.values()].find(({ isInWeight }) => isInWeight);
  if (head !== undefined && dropout > 0) throw failure('ADAPTER_DROPOUT_ON_HEAD', { module: head.name, dropout });
}
