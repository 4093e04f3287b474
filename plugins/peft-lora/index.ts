import { join, resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { Driver, definePlugin, Engine, Model, ParameterStore, Random, Reference, RunConfig } from 'mooring';
import { type AdapterParameter, type LoraAdapter, placeAdapter } from './adapter.ts';
import { switchingDriver } from './driver.ts';
import { withMasks } from './dropout.ts';
import { failure } from './errors.ts';
import { type AdapterTensor, readAdapter, writeAdapter } from './folder/adapter.ts';
import { checkAdapter } from './folder/check-adapter.ts';
import { fillFromBase, freshValues } from './initialize.ts';
import { mergeAdapter, type Originals, unmergeAdapter } from './merge.ts';
import { configOf, optionsSchema } from './options.ts';
import { startWithPissa } from './pissa.ts';
import { type AdapterReference, createAdapterReference } from './reference.ts';
import { adapterOf } from './save.ts';
import { AdapterSet, Adapters, trainedName } from './set.ts';
import { adaptParameter, adaptProjection } from './taps.ts';

export { Adapters } from './set.ts';

/** Trains LoRA adapters over a frozen base, which with its adapters off is a reference that costs nothing. */
export const peftLora = definePlugin({
  name: 'peft-lora',
  apiVersion: 1,
  capturable: true,
  options: optionsSchema,
  uses: { store: ParameterStore, model: Model, config: RunConfig, random: Random, engine: Engine, adapters: Adapters },
  apply({ hooks, options, provide, decorate, services, log }) {
    const set = new AdapterSet();
    let reference: AdapterReference | undefined;

    decorate(Model, { uses: {}, create: (inner) => withMasks(inner, set) });
    decorate(Driver, { uses: {}, create: (inner) => switchingDriver(inner, set) });
    provide(Adapters, {
      uses: { store: ParameterStore, model: Model },
      create: ({ store, model }) => createAdapters(set, model, store),
    });
    if (options.reference !== 'none') {
      provide(Reference, {
        uses: { store: ParameterStore, driver: Driver, model: Model },
        create({ store, driver, model }) {
          const base = model.parameters.map(({ name }) => name);
          reference = createAdapterReference(set, store, driver, base, options);
          return reference;
        },
      });
    }

    hooks.modelDefined.tap(async ({ model, define }) => {
      const { store, config, random } = services;
      for (const { name } of model.parameters) store.setTrainable(name, false);
      const trained =
        options.adapter === undefined
          ? fresh(placeAdapter(trainedName, configOf(options, model, config.model), model))
          : await load(trainedName, options.adapter);
      warnOfDropout(trained);
      for (const [name, folder] of Object.entries(options.adapters)) {
        const { parameters } = await load(name, folder);
        for (const { spec } of parameters) store.setTrainable(spec.name, false);
      }

      function fresh(adapter: LoraAdapter): LoraAdapter {
        const values = freshValues(adapter, random);
        return put(adapter, (parameter) => values.get(parameter) as tf.Tensor);
      }

      async function load(name: string, folder: string): Promise<LoraAdapter> {
        const read = await readAdapter(resolve(folder));
        const dropout = options.dropout ?? read.config.dropout;
        const settings = { ...read.config, dropout, base: config.model };
        const adapter = placeAdapter(name, settings, model, new Set(read.tensors.keys()));
        checkAdapter(read, adapter.layout, folder);
        return put(adapter, ({ key }) => {
          const { shape, values } = read.tensors.get(key) as AdapterTensor;
          return tf.tensor(values, [...shape]);
        });
      }

      function put(adapter: LoraAdapter, initial: (parameter: AdapterParameter) => tf.Tensor) {
        refuseHeadDropout(adapter);
        for (const each of adapter.parameters) define(each.block, each.local, each.spec, initial(each));
        for (const { key } of adapter.layout.baseCopies) {
          const copy = adapter.parameters.find((each) => each.key === key);
          if (copy !== undefined) store.setTrainable(copy.spec.name, false);
        }
        set.all.set(adapter.name, adapter);
        return adapter;
      }
    });

    hooks.modelReady.tap(() => {
      if (options.adapter !== undefined) return;
      const { store, engine } = services;
      const adapter = set.get(trainedName);
      fillFromBase(adapter, store);
      if (options.initialization === 'pissa') startWithPissa(adapter, store, engine);
    });

    hooks.projection.tap((output, projection) => adaptProjection(set, output, projection));
    hooks.readParameter.tap((value, read) => adaptParameter(set, value, read));
    hooks.refInit.tap(() => reference?.begin());

    hooks.export.tap(async ({ directory }) => {
      await writeAdapter(join(directory, 'adapter'), await adapterOf(set.get(trainedName), services.store));
    });

    function warnOfDropout({ config: { dropout } }: LoraAdapter): void {
      if (dropout > 0 && services.config.train.disableDropout) {
        log.warn(
          { dropout },
          'peft-lora: its dropout does nothing while `train.disableDropout` is true, as it is unless set',
        );
      }
    }
  },
});

function refuseHeadDropout({ modules, config: { dropout } }: LoraAdapter): void {
  const head = [...modules.values()].find(({ isInWeight }) => isInWeight);
  if (head !== undefined && dropout > 0) throw failure('ADAPTER_DROPOUT_ON_HEAD', { module: head.name, dropout });
}

function createAdapters(set: AdapterSet, model: Model, store: ParameterStore): Adapters {
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
    merge() {
      set.refuseMerged();
      const { active } = set;
      if (active === undefined) return;
      originals = mergeAdapter(set.get(active), model, store);
      set.merged = active;
    },
    unmerge() {
      if (originals !== undefined) unmergeAdapter(originals, store);
      originals = undefined;
      set.merged = undefined;
    },
  };
}
