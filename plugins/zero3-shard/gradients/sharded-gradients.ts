import * as tf from '@tensorflow/tfjs';
import type { Collectives, Gradients, ParameterSpec, ParameterStore } from 'mooring';
import { elementsOf, type Partition } from '../partition.ts';
import type { Counters } from '../statistics.ts';
import { reduceValues } from './reduce-values.ts';

/** Gradients of which this rank keeps its parts; whole ones wait for `reduce`, at the latest that of `complete`. */
export interface ShardedGradients extends Gradients {
  /** Adds to a parameter's whole gradient, of this rank's rows; takes ownership. */
  add(name: string, gradient: tf.Tensor): void;
  /** Frees one that waits. */
  drop(name: string): void;
  /**
   * Begins to add what waits over all ranks, of which this rank keeps its part. Every rank calls it. Resolves when that
   * is done, and what was begun before. Throws RANK_FAILED.
   */
  reduce(): Promise<void>;
}

/** Gradients in the store of the parts. */
export function createShardedGradients(options: {
  readonly inner: ParameterStore;
  readonly specOf: ParameterStore['spec'];
  readonly partition: Partition;
  readonly collectives: Collectives;
  readonly reduceBucketSize: number;
  readonly counters: Counters;
}): ShardedGradients {
  const { inner, specOf, partition, collectives, counters } = options;
  const waiting = new Map<string, tf.Tensor>();
  let begun: Promise<unknown> = Promise.resolve();
  let clearings = 0;

  const drop = (name: string) => {
    waiting.get(name)?.dispose();
    waiting.delete(name);
  };
  const reduce = async () => {
    const all = Promise.all([begun, reduceWaiting()]);
    begun = all;
    all.catch(() => undefined); // thrown where it is awaited
    await all;
  };
  return {
    get names() {
      return inner.gradients.names;
    },
    read: (name) => inner.gradients.read(name),
    write: (name, value) => inner.gradients.write(name, value),
    add(name, gradient) {
      const before = waiting.get(name);
      waiting.set(name, tf.keep(before === undefined ? gradient : tf.add(before, gradient)));
      if (before !== undefined) tf.dispose([before, gradient]);
    },
    drop,
    reduce,
    complete: reduce,
    async globalNorm(names = inner.gradients.names) {
      // what every rank has whole counts once
      const own = names.filter((name) => collectives.rank === 0 || !partition.isWhole(specOf(name)));
      const square = Float64Array.of((await inner.gradients.globalNorm(own)) ** 2);
      if (partition.ranks === 1) return Math.sqrt(square[0] as number);
      const sizes = Array.from({ length: partition.ranks }, () => square.byteLength);
      const all = await collectives.allGather(new Uint8Array(square.buffer), sizes, 'the norm of the gradients');
      return Math.sqrt(new Float64Array(all.slice().buffer).reduce((sum, each) => sum + each, 0));
    },
    clear() {
      clearings++;
      for (const name of [...waiting.keys()]) drop(name);
      inner.gradients.clear();
    },
  };

  async function reduceWaiting(): Promise<void> {
    const names = [...waiting.keys()];
    const specs = names.map(specOf);
    const values = names.map((name) => (waiting.get(name) as tf.Tensor).dataSync<'float32'>());
    for (const name of names) drop(name);
    const before = clearings;
    const reduced = await reduceValues(specs, values, { ...options, limit: options.reduceBucketSize });
    if (clearings > before) return; // of a step that failed meanwhile
    for (const [index, part] of reduced.entries()) {
      const spec = specs[index] as ParameterSpec;
      const isWhole = partition.isWhole(spec);
      if (partition.ranks > 1) counters.bytesReduced += 4 * (elementsOf(spec) - (isWhole ? 0 : part.length));
      inner.accumulate(spec.name, tf.tensor(part, isWhole ? [...spec.shape] : [part.length]));
    }
  }
}
