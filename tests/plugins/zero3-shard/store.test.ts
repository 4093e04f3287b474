import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import type { Collectives, ParameterStorage } from 'mooring';
import { inRanks } from 'mooring/testing';
import { type Engine, engineNames, openEngine } from '../../../core/engine/engine.ts';
import { createParameterStore } from '../../../core/parameters/store.ts';
import { createShardedStore, type ShardedStore } from '../../../plugins/zero3-shard/sharded-store.ts';
import { createCounters, type ShardingStatistics } from '../../../plugins/zero3-shard/statistics.ts';
import { failureOf } from '../../core/support.ts';
import { inThreadsHere } from './threads/support.ts';

const shapes = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 3 });
interface Case {
  readonly ranks: number;
  readonly shapes: number[][];
  readonly persistenceThreshold: number;
  readonly reduceBucketSize: number;
  readonly storage: ParameterStorage;
  readonly meet?: typeof inRanks;
}

const cases: fc.Arbitrary<Case> = fc.record({
  ranks: fc.integer({ min: 1, max: 7 }),
  shapes: fc.array(shapes, { minLength: 1, maxLength: 4 }),
  persistenceThreshold: fc.constantFrom(0, 5),
  reduceBucketSize: fc.constantFrom(1, 7, 1000),
  storage: fc.constantFrom<ParameterStorage>('float32', 'bfloat16'),
});

describe.each(engineNames)('a store of parts on %s', (name) => {
  let engine: Engine;
  let before: number;
  beforeAll(async () => {
    engine = await openEngine(name);
  });
  beforeEach(() => {
    before = tf.memory().numTensors;
  });

  /** Runs `body` over stores that split everything, each rank its own. */
  async function onRanks<Result>(
    ranks: number,
    body: (store: ShardedStore, collectives: Collectives, counters: ShardingStatistics) => Promise<Result>,
    {
      meet = inRanks,
      ...options
    }: Partial<Pick<Case, 'persistenceThreshold' | 'reduceBucketSize' | 'meet'>> & { maxLiveParameters?: number } = {},
  ): Promise<Result[]> {
    const all = { persistenceThreshold: 0, maxLiveParameters: 0, reduceBucketSize: 1000, ...options };
    const results = await meet(ranks, async (collectives) => {
      const counters = createCounters();
      const store = createShardedStore(createParameterStore(engine), collectives, { ...all, counters });
      try {
        return await body(store, collectives, counters);
      } finally {
        store.dispose();
      }
    });
    expect(tf.memory().numTensors).toBe(before);
    return results;
  }

  test('what was gathered of a view alone goes with the view', async () => {
    const run = async (store: ShardedStore, { barrier }: Collectives) => {
      store.define({ name: 'weight', shape: [4], isDecayed: true });
      store.load('weight', counting([4], 1));
      await barrier('the weight');
      const tensors = tf.memory().numTensors;
      await barrier('a look at the memory');
      store.addView('reference', { storage: 'bfloat16' });
      await store.withGathered(['weight'], 'reference', async () => undefined);
      store.removeView('reference');
      await barrier('the end of the view');
      return tf.memory().numTensors - tensors;
    };
    expect(await onRanks(2, run, { maxLiveParameters: 1000 })).toEqual([0, 0]);
  });

  /** Loads, writes, gathers, and adds gradients up, on all ranks. */
  async function check({ ranks, shapes, storage, ...options }: Case): Promise<void> {
    const names = shapes.map((_, index) => `parameter ${index}`);
    const found = await onRanks(
      ranks,
      async (store, { rank }) => {
        for (const [index, shape] of shapes.entries()) {
          store.define({ name: names[index] as string, shape, isDecayed: true });
          if (storage === 'bfloat16') {
            store.setTrainable(names[index] as string, false);
            store.setStorage(names[index] as string, storage);
          }
          store.load(names[index] as string, counting(shape, 0.5));
        }
        const loaded = await gathered(store, names);
        for (const [index, shape] of shapes.entries())
          store.write(names[index] as string, 'policy', counting(shape, 2));
        const written = await gathered(store, names);
        if (storage === 'bfloat16') return { loaded, written };
        for (const [index, shape] of shapes.entries())
          for (const scale of [1, 3]) store.accumulate(names[index] as string, counting(shape, scale * (rank + 1)));
        await store.gradients.reduce();
        const norm = await store.gradients.globalNorm();
        return { loaded, written, norm, parts: names.map((each) => part(store, each)) };
      },
      options,
    );
    const sum = (ranks * (ranks + 1)) / 2;
    const squares = shapes.flatMap((shape) => numbers(shape, 4 * sum)).reduce((total, each) => total + each ** 2, 0);
    for (const each of found) {
      expect(each.loaded).toEqual(shapes.map((shape) => ({ shape, values: numbers(shape, 0.5) })));
      expect(each.written).toEqual(shapes.map((shape) => ({ shape, values: numbers(shape, 2) })));
      if (each.norm !== undefined) expect(each.norm / Math.sqrt(squares)).toBeCloseTo(1, 5);
    }
    if (storage === 'bfloat16') return;
    for (const [index, shape] of shapes.entries()) {
      const isWhole = ranks === 1 || tf.util.sizeFromShape(shape) <= Math.max(options.persistenceThreshold, 2);
      const parts = found.slice(0, isWhole ? 1 : ranks).flatMap((each) => each.parts?.[index] ?? []);
      expect(parts).toEqual(numbers(shape, 4 * sum));
    }
  }

  test('gathers what was loaded and written, rounded as it is stored, and sums gradients into parts', () =>
    fc.assert(fc.asyncProperty(cases, check), { numRuns: name === 'native' ? 30 : 60 }));

  // 65,536 elements are large; 10,000 cut the sums of gradients into several
  test.each([
    ['carried by threads', 500_000_000, inThreadsHere],
    ['carried by threads', 10_000, inThreadsHere],
    ['through copies', 10_000, inRanks],
  ])('so with large ones, %s, at most %d elements at a time', (_, reduceBucketSize, meet) =>
    check({
      ...{ ranks: 3, persistenceThreshold: 0, reduceBucketSize, storage: 'float32', meet },
      shapes: [[257, 257], [3], [300, 220]],
    }),
  );

  test('what is left to add at the end of a step is on its way in no more than a bucket at a time', async () => {
    const most = await inRanks(2, async (collectives) => {
      let [onTheirWay, most] = [0, 0];
      const counting: Collectives = {
        ...collectives,
        async reduceScatter(values, ...rest) {
          onTheirWay += values.length;
          most = Math.max(most, onTheirWay);
          const sum = await collectives.reduceScatter(values, ...rest);
          onTheirWay -= values.length;
          return sum;
        },
      };
      const sizes = { persistenceThreshold: 0, maxLiveParameters: 0, reduceBucketSize: 20 };
      const store = createShardedStore(createParameterStore(engine), counting, {
        ...sizes,
        counters: createCounters(),
      });
      for (const name of ['alpha', 'bravo', 'charlie', 'delta', 'echo']) {
        store.define({ name, shape: [2, 4], isDecayed: true });
        store.load(name, tf.zeros([2, 4]));
        store.accumulate(name, tf.ones([2, 4]));
      }
      await store.gradients.complete?.();
      expect(part(store, 'echo')).toEqual([2, 2, 2, 2]);
      store.dispose();
      return most;
    });
    expect(most).toEqual([16, 16]);
  });

  test('what was added earlier is not kept, however often gradients are added', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await onRanks(1, async ({ gradients }) => {
      const reduceOften = async () => {
        for (let time = 0; time < 20_000; time++) await gradients.reduce();
        collect();
        return process.memoryUsage().heapUsed;
      };
      const first = await reduceOften();
      expect((await reduceOften()) - first).toBeLessThan(20_000 * 32);
    });
  });

  test('a whole value outside of a window is refused by name, and what a rank has is there', async () => {
    await onRanks(2, async (store, { rank }) => {
      store.define({ name: 'alpha', shape: [2, 3], isDecayed: true });
      store.load('alpha', counting([2, 3], 1));
      const { code, message } = await failureOf(() => store.read('alpha', 'policy'));
      expect(code).toBe('PARAMETER_NOT_GATHERED');
      expect(message).toMatch(/"alpha".*withGathered/s);
      const own = store.readShard('alpha', 'policy');
      expect([...own.dataSync()]).toEqual(rank === 0 ? [1, 2] : [3, 4, 5, 6]);
      own.dispose();
      expect(store.range('alpha')).toEqual(rank === 0 ? { begin: 0, end: 2 } : { begin: 2, end: 6 });
      const turned = tf.ones([3, 2]);
      expect((await failureOf(() => store.write('alpha', 'policy', turned))).code).toBe('PARAMETER_SHAPE');
      turned.dispose();
    });
  });

  test('a snapshot costs nothing until training changes a part, gathers nothing, and keeps its values', async () => {
    await onRanks(3, async (store) => {
      store.define({ name: 'alpha', shape: [4, 3], isDecayed: true });
      store.load('alpha', counting([4, 3], 1));
      const { bytes } = engine.memory();
      store.addView('reference');
      expect(engine.memory().bytes).toBe(bytes);
      expect(store.bytesResident('reference')).toBe(0);
      const { begin, end } = store.range('alpha');
      store.writeShard('alpha', 'policy', tf.zeros([end - begin]));
      expect(store.bytesResident('reference')).toBe(4 * (end - begin));
      expect(await gathered(store, ['alpha'], 'reference')).toEqual([{ shape: [4, 3], values: numbers([4, 3], 1) }]);
      expect(await gathered(store, ['alpha'])).toEqual([{ shape: [4, 3], values: numbers([4, 3], 0) }]);
    });
  });

  test('views that share a value share its gather while there is room, and part when one of them changes', async () => {
    const counts = await onRanks(
      2,
      async (store, _, counters) => {
        store.define({ name: 'alpha', shape: [4], isDecayed: true });
        store.load('alpha', counting([4], 1));
        store.addView('reference');
        const seen: number[] = [];
        for (const view of ['policy', 'reference', 'policy']) {
          await gathered(store, ['alpha'], view);
          seen.push(counters.gatherCalls);
        }
        store.write('alpha', 'policy', counting([4], 2));
        for (const view of ['reference', 'policy', 'reference']) {
          await gathered(store, ['alpha'], view);
          seen.push(counters.gatherCalls);
        }
        return seen;
      },
      { maxLiveParameters: 8 },
    );
    expect(counts).toEqual([
      [1, 1, 1, 1, 2, 2],
      [1, 1, 1, 1, 2, 2],
    ]);
  });
});

function numbers(shape: readonly number[], scale: number): number[] {
  return Array.from({ length: tf.util.sizeFromShape([...shape]) }, (_, at) => scale * (at + 1));
}

function counting(shape: readonly number[], scale: number): tf.Tensor {
  return tf.tensor(numbers(shape, scale), [...shape], 'float32');
}

function part(store: ShardedStore, name: string): number[] {
  const value = store.gradients.read(name);
  const values = [...value.dataSync()];
  value.dispose();
  return values;
}

function gathered(store: ShardedStore, names: readonly string[], view = 'policy') {
  return store.withGathered(names, view, async () =>
    names.map((name) => {
      const value = store.read(name, view);
      const { shape } = value;
      const values = [...value.dataSync()];
      value.dispose();
      return { shape, values };
    }),
  );
}
