import { eagerBlocks } from './blocks/block-runner.ts';
import { BlockDriver, type Blocks } from './driver.ts';
import type { Engine } from './engine/engine.ts';
import { Hooks } from './hooks/registry.ts';
import { createParameterStore } from './parameters/store.ts';
import type { Drivers } from './tokens.ts';

/** Makes drivers of other models. `blocks` says how one runs its blocks, eagerly if it says nothing; `runner` calls and meters its taps. */
export function createDrivers(options: {
  readonly engine: Engine;
  readonly runner: Hooks['runner'];
  readonly blocks: () => Blocks | undefined;
}): Drivers {
  return {
    create(model, { owner, tap, wrapStore = (store) => store }) {
      const store = wrapStore(createParameterStore(options.engine));
      for (const spec of model.parameters) {
        store.define(spec);
        store.setTrainable(spec.name, false);
      }
      const hooks = new Hooks();
      hooks.runner = options.runner;
      tap?.(hooks.face(owner));
      hooks.freeze([owner]);
      return { store, driver: new BlockDriver(model, store, hooks, options.blocks() ?? eager) };
    },
  };
}

const eager: Blocks = { runner: eagerBlocks, pad: (rows) => rows, prepare: async () => undefined };
