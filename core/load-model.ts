import type { CallFace } from './hooks/registry.ts';
import type { Services } from './plugin.ts';
import * as Tokens from './tokens.ts';

/** The services that hold a loaded model. */
export const modelUses = { model: Tokens.Model, store: Tokens.ParameterStore, driver: Tokens.Driver } as const;

/**
 * Shapes first, so that plugins can define and freeze parameters, then the weights, one at a time, and of each no more than
 * this rank holds.
 */
export async function loadModel({ model, store, driver }: Services<typeof modelUses>, hooks: CallFace): Promise<void> {
  for (const spec of model.parameters) store.define(spec);
  await hooks.modelDefined({ model, define: driver.define });
  for await (const [name, value] of model.load(store.range)) {
    const isWhole = value.shape.join() === store.spec(name).shape.join();
    if (isWhole) store.load(name, value);
    else store.loadShard(name, value);
  }
  await hooks.modelReady({ model });
}
