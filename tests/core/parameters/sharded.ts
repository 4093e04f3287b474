import * as tf from '@tensorflow/tfjs';
import {
  type Collectives,
  definePlugin,
  fingerprintOf,
  type ParameterSpec,
  ParameterStore,
  type Plugin,
  rangeOf,
} from 'mooring';

/** A plugin whose store holds this rank's range of every parameter, flat, and gathers nothing: enough to load and save. */
export function heldInRanges(collectives: Collectives): Plugin {
  return definePlugin({
    name: 'held-in-ranges',
    apiVersion: 1,
    apply: ({ decorate }) =>
      decorate(ParameterStore, { uses: {}, create: (inner) => shardedStore(inner, collectives) }),
  })();
}

/** The same over a store of one's own. */
export function shardedStore(inner: ParameterStore, collectives: Collectives): ParameterStore {
  const whole = new Map<string, ParameterSpec>();
  const spec = (name: string) => whole.get(name) ?? inner.spec(name);
  const store: ParameterStore = Object.assign(Object.create(inner) as ParameterStore, {
    define(defined: ParameterSpec) {
      whole.set(defined.name, defined);
      const { begin, end } = store.range(defined.name);
      inner.define(collectives.ranks === 1 ? defined : { ...defined, shape: [end - begin] });
    },
    spec,
    load(name: string, value: tf.Tensor) {
      const { begin, end } = store.range(name);
      if (collectives.ranks > 1) inner.load(name, tf.slice(tf.reshape(value, [-1]), begin, end - begin));
      else inner.load(name, value);
    },
    loadShard: inner.load,
    range(name: string) {
      const elements = spec(name).shape.reduce((product, size) => product * size, 1);
      return rangeOf(elements, collectives.rank, collectives.ranks);
    },
    fingerprint: (view: string, names = inner.names) => fingerprintOf(store, names, view, collectives),
  });
  return store;
}
