import * as tf from '@tensorflow/tfjs';
import { type Collectives, checkShape, fingerprintOf, type ParameterSpec, type ParameterStore, widen } from 'mooring';
import { failure } from './errors.ts';
import { LiveParameters } from './gather/live-parameters.ts';
import { createShardedGradients, type ShardedGradients } from './gradients/sharded-gradients.ts';
import type { ZeroOptions } from './options.ts';
import { createPartition, elementsOf } from './partition.ts';
import type { Counters } from './statistics.ts';

/** A store that has a part of every parameter, and whole ones while they are held. */
export interface ShardedStore extends ParameterStore {
  readonly live: LiveParameters;
  readonly gradients: ShardedGradients;
  /** Whether there is anything of a parameter here: of one that is on disk only while its block runs. */
  isLoaded(name: string): boolean;
}

/**
 * Puts a part of every parameter into `inner`, flat: `[elements of this rank]`. So views, storage and optimizers work on
 * parts without knowing of it. Parameters of at most `persistenceThreshold` elements are whole on every rank. Throws
 * PARAMETER_NOT_GATHERED and what the inner store throws.
 */
export function createShardedStore(
  inner: ParameterStore,
  collectives: Collectives,
  options: Pick<ZeroOptions, 'persistenceThreshold' | 'maxLiveParameters' | 'reduceBucketSize'> & {
    readonly counters: Counters;
  },
): ShardedStore {
  const { counters, persistenceThreshold, maxLiveParameters, reduceBucketSize } = options;
  const partition = createPartition(collectives, persistenceThreshold);
  const specs = new Map<string, ParameterSpec>();
  const views = new Set(['policy']);
  const loaded = new Set<string>();
  const live = new LiveParameters({ inner, specOf, partition, collectives, maxLiveParameters, counters });
  const gradients = createShardedGradients({ inner, specOf, partition, collectives, reduceBucketSize, counters });

  const store: ShardedStore = {
    live,
    gradients,
    define(spec) {
      const { begin, end } = partition.range(spec);
      inner.define(partition.isWhole(spec) ? spec : { ...spec, shape: [end - begin] });
      specs.set(spec.name, spec);
    },
    get names() {
      return inner.names;
    },
    spec: specOf,
    range: (name) => partition.range(specOf(name)),
    load: (name, value) => store.loadShard(name, partOf(specOf(name), value)),
    loadShard(name, value) {
      inner.load(name, value);
      loaded.add(name);
    },
    isLoaded: (name) => loaded.has(name),
    unload(name) {
      inner.unload(name);
      loaded.delete(name);
      live.forget(name, []);
    },
    read(name, view) {
      if (partition.isWhole(specOf(name))) return inner.read(name, view);
      return tf.tidy(() => widen(readGathered(name, view), specOf(name).shape));
    },
    readStored: (name, view) =>
      partition.isWhole(specOf(name)) ? inner.readStored(name, view) : readGathered(name, view),
    readShard: (name, view) => inner.read(name, view),
    write: (name, view, value) => store.writeShard(name, view, partOf(specOf(name), value)),
    writeShard(name, view, value) {
      inner.write(name, view, value);
      live.forget(name, views);
    },
    async withGathered(names, view, body) {
      const lease = live.hold(names, view);
      try {
        await lease.ready;
        return await body();
      } finally {
        lease.release();
      }
    },
    update(name, change) {
      inner.update(name, change);
      live.forget(name, views);
    },
    version: (name, view) => inner.version(name, view),
    storage: (name, view) => inner.storage(name, view),
    setStorage(name, storage) {
      inner.setStorage(name, storage);
      live.forget(name, []);
    },
    isTrainable: (name) => inner.isTrainable(name),
    setTrainable(name, isTrainable) {
      inner.setTrainable(name, isTrainable);
      if (!isTrainable) gradients.drop(name);
    },
    accumulate(name, gradient) {
      checkShape(specOf(name), gradient);
      gradients.add(name, gradient);
    },
    addView(view, made) {
      inner.addView(view, made);
      views.add(view);
    },
    removeView(view) {
      inner.removeView(view);
      views.delete(view);
      for (const name of loaded) live.forget(name, views);
    },
    bytesResident: (view) => inner.bytesResident(view),
    fingerprint: (view, names = store.names) => fingerprintOf(store, names, view, collectives),
    dispose() {
      live.clear();
      gradients.clear();
      inner.dispose();
    },
  };
  return store;

  function specOf(name: string): ParameterSpec {
    return specs.get(name) ?? inner.spec(name);
  }

  /** This rank's part of a whole value; takes ownership. Throws PARAMETER_SHAPE. */
  function partOf(spec: ParameterSpec, value: tf.Tensor): tf.Tensor {
    checkShape(spec, value);
    if (partition.isWhole(spec)) return value;
    const { begin, end } = partition.range(spec);
    const part = tf.tidy(() => tf.slice(tf.reshape(value, [-1]), begin, end - begin));
    value.dispose();
    return part;
  }

  function readGathered(name: string, view: string): tf.Tensor {
    const stored = live.find(name, view);
    // wasm's clone copies, its reshape does not
    if (stored !== undefined) return tf.reshape(stored, stored.shape);
    const spec = specOf(name);
    const details = { parameter: name, view, ranks: partition.ranks, elements: elementsOf(spec) };
    throw failure('PARAMETER_NOT_GATHERED', { ...details, ...partition.range(spec) });
  }
}
