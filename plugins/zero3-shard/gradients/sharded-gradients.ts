import * as tf from '@tensorflow/tfjs';
import type { Collectives, Gradients, ParameterSpec, ParameterStore } from 'mooring';
import { elementsOf, isLarge, type Partition } from '../partition.ts';
import type { Counters } from '../statistics.ts';
import { reduceLarge } from './reduce-large.ts';
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
  let begun: Promise<void> = Promise.resolve();
  let clearings = 0;

  const drop = (name: string) => {
    waiting.get(name)?.dispose();
    waiting.delete(name);
  };
  const reduce = async (limit = Number.POSITIVE_INFINITY) => {
    const all = Promise.all([begun, reduceWaiting(limit)]).then(() => undefined); // or each would keep all before it
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
    reduce: () => reduce(),
    async complete() {
      // nothing else is begun meanwhile: so all of the model's need not be on their way at once
      do await reduce(options.reduceBucketSize);
      while (waiting.size > 0);
    },
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

  /** Of what waits, as much as has no more than `most` elements, and one at least. */
  async function reduceWaiting(most: number): Promise<void> {
    const before = clearings;
    const all = takeWaiting(most);
    if (partition.ranks === 1) {
      for (const { spec, gradient } of all) take(spec, gradient, before);
      return;
    }
    const isAlone = ({ spec }: (typeof all)[number]) => !partition.isWhole(spec) && isLarge(elementsOf(spec));
    const large = all.filter(isAlone);
    const others = all.filter((each) => !isAlone(each));
    const values = others.map(({ gradient }) => {
      const read = gradient.dataSync<'float32'>();
      gradient.dispose();
      return read;
    });
    const limit = options.reduceBucketSize;
    const [sums, parts] = await Promise.all([
      Promise.all(
        large.map(({ spec, gradient }) => {
          const of = `the gradient of ${spec.name}`;
          return reduceLarge(gradient, partition.rangesOf(spec), { collectives, limit, of });
        }),
      ),
      reduceValues(
        others.map(({ spec }) => spec),
        values,
        { partition, collectives, limit },
      ),
    ]);
    for (const [index, { spec }] of large.entries()) take(spec, sums[index] as tf.Tensor, before);
    for (const [index, { spec }] of others.entries()) {
      const part = parts[index] as Float32Array;
      take(spec, tf.tensor(part, partition.isWhole(spec) ? [...spec.shape] : [part.length]), before);
    }
  }

  function takeWaiting(most: number): { readonly spec: ParameterSpec; readonly gradient: tf.Tensor }[] {
    let elements = 0;
    const taken = [...waiting].filter(([, { size }]) => {
      elements += size;
      return elements === size || elements <= most;
    });
    for (const [name] of taken) waiting.delete(name);
    return taken.map(([name, gradient]) => ({ spec: specOf(name), gradient }));
  }

  /** Has a sum added to this rank's gradients, unless it is of a step that failed meanwhile. */
  function take(spec: ParameterSpec, sum: tf.Tensor, before: number): void {
    if (clearings > before) {
      sum.dispose();
      return;
    }
    const kept = partition.ranks > 1 && partition.isWhole(spec) ? 0 : sum.size;
    counters.bytesReduced += 4 * (elementsOf(spec) - kept);
    inner.accumulate(spec.name, sum);
  }
}
