import * as tf from '@tensorflow/tfjs';
import type { ParameterStore } from 'mooring';
import type { LoraAdapter } from './adapter.ts';
import { freshMagnitude } from './initialize.ts';

/** How far a magnitude that another program computed may be from ours, relative. */
const rounding = 1e-5;

/** What an adapter adds to the base, as a clause, or `undefined` where it adds nothing: judged by its values. */
export function contentOf(adapter: LoraAdapter, store: ParameterStore): string | undefined {
  const read = (name: string) => store.read(name, 'policy');
  const isTrue = (condition: () => tf.Tensor) => tf.tidy(() => condition().dataSync()[0] === 1);
  const isZero = (name: string) => isTrue(() => tf.all(tf.equal(read(name), 0)));
  for (const module of adapter.modules.values()) {
    const { name, a, b, magnitude } = module;
    if (!isZero(b.spec.name) && !isZero(a.spec.name)) return `the adapter already changes "${name}"`;
    if (magnitude === undefined) continue;
    const isFresh = isTrue(() => {
      const [now, fresh] = [read(magnitude.spec.name), freshMagnitude(adapter, module, store)];
      return tf.all(tf.lessEqual(tf.abs(tf.sub(now, fresh)), tf.mul(fresh, rounding)));
    });
    if (!isFresh) return `the adapter already scales "${name}"`;
  }
  for (const { own, parameter } of adapter.copies.values()) {
    const isEqual = isTrue(() => tf.all(tf.equal(read(own.spec.name), read(parameter))));
    if (!isEqual) return `the adapter has another "${parameter}" than the base`;
  }
  return undefined;
}
