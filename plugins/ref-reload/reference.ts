import type { Collectives, Drivers, Model, Outputs, ParameterStorage, Pass, Reference, StoredWeights } from 'mooring';
import { createBlockWindow } from './block-window.ts';
import { failure } from './errors.ts';

/** The only view of a store that is not trained. */
const view = 'policy';

/** A reference with weights of its own, which are there between `load` and `close`. */
export interface ReloadedReference extends Reference {
  /** Opens the weights and reads each once. Throws RELOAD_NOT_ON_DISK and what the files are refused for. */
  load(): Promise<void>;
  close(): Promise<void>;
  dispose(): void;
}

/** The reference that is the model of a folder, scored in evaluation mode and without gradients. */
export function createReloadedReference(options: {
  readonly folder: string;
  readonly model: Model;
  readonly drivers: Drivers;
  readonly collectives: Collectives;
  readonly offload: 'memory' | 'disk';
  readonly storage: ParameterStorage;
}): ReloadedReference {
  const { folder, model, drivers, collectives, offload, storage } = options;
  let weights: StoredWeights | undefined;
  const window = createBlockWindow(() => ({ store, weights: weights as StoredWeights }));
  const { driver, store } = drivers.create(model, {
    owner: 'ref-reload',
    tap: (hooks) => offload === 'disk' && window.tap(hooks),
  });
  for (const name of store.names) store.setStorage(name, storage);
  let fingerprint = '';
  let before: Promise<unknown> = Promise.resolve();
  let loading: Promise<void> | undefined;

  return {
    kind: 'reload',
    storage,
    async load() {
      weights = await openWeights();
      fingerprint = await weights.fingerprint(collectives);
    },
    fingerprint: async () => fingerprint,
    fingerprints: async () => ({ weights: fingerprint, computation: model.computation ?? model.description }),
    // on disk it holds nothing between passes, so that it can go on to answer
    ...(offload === 'memory' && { release: () => store.dispose() }),
    bytesResident: () => store.bytesResident(view),
    score(pass) {
      // one after another, whoever asks: a pass frees what passes of the same rows share
      const outputs = before.then(() => forward(pass));
      before = outputs.catch(() => undefined);
      return outputs;
    },
    async close() {
      await window.settled();
      await weights?.close();
    },
    dispose: () => store.dispose(),
  };

  async function forward(pass: Pass): Promise<Outputs> {
    if (pass.rows.fork !== undefined && model.sharesPrompts !== true) throw failure('RELOAD_FORKS', { folder });
    if (offload === 'memory') loading ??= loadAll();
    await loading;
    const frozen: Pass = { ...pass, view, variant: undefined, gradient: false, dropout: undefined };
    return driver.forward(frozen).finally(() => driver.release());
  }

  /** At the first pass: a reference that is never asked takes no memory. */
  async function loadAll(): Promise<void> {
    if (weights === undefined) return;
    for await (const [name, value] of weights.read(store.names, store.range)) store.loadShard(name, value);
    await weights.close();
  }

  async function openWeights(): Promise<StoredWeights> {
    if (model.openWeights === undefined) throw failure('RELOAD_NOT_ON_DISK', { folder });
    return model.openWeights();
  }
}
