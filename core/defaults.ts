import { type Compilation, createCompilation } from './blocks/compilation.ts';
import { alone } from './collectives/collectives.ts';
import type { RunConfig } from './config.ts';
import { createDrivers } from './create-drivers.ts';
import { BlockDriver } from './driver.ts';
import { openEngine } from './engine/engine.ts';
import type { Hooks } from './hooks/registry.ts';
import { createAdamW } from './optim/adamw.ts';
import { createSchedule } from './optim/schedule.ts';
import { createParameterStore } from './parameters/store.ts';
import { definePlugin, type Plugin } from './plugin.ts';
import { createRandom } from './random.ts';
import * as Tokens from './tokens.ts';

/**
 * The services that a run has unless a plugin replaces them: `provide(Optimizer, { replaces: 'core', ... })`. `admit`
 * throws where the run's ranks are not to do it, before any other service is made.
 */
export function coreServices(
  hooks: () => Hooks,
  config: { readonly current: RunConfig },
  log: Tokens.Log,
  admit: ((collectives: Tokens.Collectives) => void) | undefined,
): Plugin {
  const { RunConfig: Config, Engine, ParameterStore, Model } = Tokens;
  const plugin = definePlugin({
    name: 'core',
    apiVersion: 1,
    apply({ hooks: { stepEnd }, provide, decorate }) {
      let compilation: Compilation | undefined;
      stepEnd.tap(() => compilation?.report());
      provide(Config, { uses: {}, create: () => config.current });
      provide(Tokens.Log, { uses: {}, create: () => log });
      provide(Tokens.Collectives, { uses: {}, create: () => alone, isFallback: true });
      if (admit !== undefined) {
        decorate(Tokens.Collectives, {
          uses: {},
          create(collectives) {
            admit(collectives);
            return collectives;
          },
        });
      }
      provide(Tokens.Clock, { uses: {}, create: () => ({ now: () => performance.now() }) });
      provide(Tokens.Random, { uses: { config: Config }, create: (used) => createRandom(used.config.train.seed) });
      provide(Tokens.Schedule, { uses: { config: Config }, create: (used) => createSchedule(used.config.train) });
      provide(Engine, {
        uses: { config: Config },
        create: (used) => openEngine(used.config.train.engine, (line) => log.warn({}, line)),
      });
      provide(ParameterStore, { uses: { engine: Engine }, create: (used) => createParameterStore(used.engine) });
      provide(Tokens.Optimizer, {
        uses: { config: Config, engine: Engine, store: ParameterStore },
        create({ config: { train }, engine, store }) {
          return createAdamW({ engine, store, weightDecay: train.weightDecay, ...train.adam });
        },
      });
      provide(Tokens.Driver, {
        uses: { config: Config, engine: Engine, model: Model, store: ParameterStore },
        create({ config: { train }, engine, model, store }) {
          compilation = createCompilation({ train, engine, model, log });
          return new BlockDriver(model, store, hooks(), compilation);
        },
      });
      provide(Tokens.Drivers, {
        // the run's own is made first: the others compile what it does
        uses: { engine: Engine, driver: Tokens.Driver },
        create: ({ engine }) => {
          return createDrivers({ engine, runner: hooks().runner, blocks: () => compilation?.another() });
        },
      });
    },
  });
  return { ...plugin(), isDefault: true };
}
