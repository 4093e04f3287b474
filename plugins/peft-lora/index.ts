import { join } from 'node:path';
import {
  Collectives,
  Driver,
  definePlugin,
  Engine,
  Model,
  ParameterStore,
  Random,
  Reference,
  RunConfig,
} from 'mooring';
import { diff, info, merge } from './commands/commands.ts';
import { defineFresh, defineFromFolder, refuseDropoutOnHead } from './define.ts';
import { switchingDriver } from './driver.ts';
import { withMasks } from './dropout.ts';
import { writeAdapter } from './folder/adapter.ts';
import { fillFromBase } from './initialize.ts';
import { configOf, optionsSchema } from './options.ts';
import { startWithPissa } from './pissa.ts';
import { type AdapterReference, createAdapterReference } from './reference.ts';
import { savedForm } from './save.ts';
import { Adapters, createAdapters } from './service.ts';
import { AdapterSet, trainedName } from './set.ts';
import { adaptParameter, adaptProjection } from './taps.ts';

export { Adapters } from './service.ts';

/** Trains LoRA adapters over a frozen base, which with its adapters off is a reference that costs nothing. */
export const peftLora = definePlugin({
  name: 'peft-lora',
  apiVersion: 1,
  capturable: true,
  commands: [merge, info, diff],
  options: optionsSchema,
  folders: ({ adapter, adapters }) => [...(adapter === undefined ? [] : [adapter]), ...Object.values(adapters)],
  uses: {
    store: ParameterStore,
    config: RunConfig,
    random: Random,
    engine: Engine,
    adapters: Adapters,
    collectives: Collectives,
  },
  apply({ hooks, options, provide, decorate, services, log }) {
    const set = new AdapterSet();
    let reference: AdapterReference | undefined;
    let base = '';

    decorate(Model, { uses: {}, create: (inner) => withMasks(inner, set) });
    decorate(Driver, { uses: {}, create: (inner) => switchingDriver(inner, set) });
    provide(Adapters, {
      uses: { store: ParameterStore, model: Model },
      create: ({ store, model }) => createAdapters(set, model, store),
    });
    if (options.reference !== 'none') {
      provide(Reference, {
        uses: { store: ParameterStore, driver: Driver, model: Model },
        create(used) {
          reference = createAdapterReference({ ...used, set, ...options });
          return reference;
        },
      });
    }

    hooks.configure.tap((train, { config }) => {
      base = config.model; // as the run names it: a rank may read a copy, which is gone when the adapter is used
      return train;
    });
    hooks.modelDefined.tap(async ({ model, define }) => {
      const { store, config, random } = services;
      const place = { model, store, define };
      const { dropout } = options;
      const at = (folder: string) => config.folders[folder] as string;
      for (const { name } of model.parameters) {
        store.setTrainable(name, false);
        if (options.storage !== 'float32') store.setStorage(name, options.storage);
      }
      const trained =
        options.adapter === undefined
          ? defineFresh(trainedName, configOf(options, model, base), place, random)
          : await defineFromFolder(trainedName, at(options.adapter), dropout === undefined ? {} : { dropout }, place);
      set.add(trained);
      for (const [name, folder] of Object.entries(options.adapters)) {
        const other = await defineFromFolder(name, at(folder), {}, place);
        for (const { spec } of other.parameters) store.setTrainable(spec.name, false);
        set.add(other);
      }
      // a folder that is only read may have been trained with dropout, whatever its targets
      if (!config.train.disableDropout) refuseDropoutOnHead(trained);
      if (trained.config.dropout > 0 && config.train.disableDropout) {
        log.warn({}, 'the dropout of peft-lora does nothing: `train.disableDropout` is true, as it is unless set');
      }
    });
    hooks.modelReady.tap(async ({ model }) => {
      if (options.adapter !== undefined) return;
      const { store, engine, collectives } = services;
      const adapter = set.get(trainedName);
      await fillFromBase(adapter, store);
      if (options.initialization === 'pissa') await startWithPissa(adapter, model, store, engine, collectives);
    });
    hooks.refInit.tap(() => reference?.begin());

    hooks.readParameter.tap((value, read) => adaptParameter(set, value, read));
    hooks.projection.tap((output, projection) => adaptProjection(set, output, projection));

    hooks.export.tap(async ({ directory, run }) => {
      const saved = await savedForm(set.get(trainedName), services.store, run.rank === 0);
      if (saved !== undefined) await writeAdapter(join(directory, 'adapter'), saved);
    });
  },
});
