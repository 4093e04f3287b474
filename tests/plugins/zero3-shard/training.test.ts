import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ParameterStore } from 'mooring';
import { refClone } from 'mooring/plugins/ref-clone';
import { stacked } from '../../core/compiled.ts';
import { plugin } from '../../core/support.ts';
import { expectSame, shardedRuns, wholeRun, type ZeroInput } from './sharded-runs.ts';

const train = { steps: 4, maxGradNorm: 0.05, weightDecay: 0.1, gradientAccumulationSteps: 2 };

const variants: Readonly<Record<string, ZeroInput>> = {
  'stage 3': {},
  'stage 3 with small parameters whole': { persistenceThreshold: 8 },
  'stage 3 without prefetch': { prefetchBucketSize: 0 },
  'stage 3 that keeps what was gathered': { maxLiveParameters: 1000 },
  'stage 3 in buckets of 5 gradients': { reduceBucketSize: 5 },
  'stage 2': { stage: 2 },
  'stage 1': { stage: 1 },
};

describe.each(Object.entries(variants))('%s', (_, options) => {
  // 7 ranks are more than a bias of 8 has pairs of numbers
  test.each([1, 2, 3, 7])('on %s ranks: records and weights are those of one unsharded, within 1e-5', async (ranks) => {
    const plugins = () => [stacked(2), refClone()];
    const whole = await wholeRun(plugins(), train);
    const before = tf.memory().numTensors;
    for (const run of await shardedRuns(ranks, plugins, options, train)) expectSame(run, whole);
    expect(tf.memory().numTensors).toBe(before);
  });
});

/** Halves the gradients before they are clipped. */
const halving = () =>
  plugin('halving', ({ hooks }) => {
    hooks.gradientsReady.tap(({ gradients }) => {
      for (const name of gradients.names) {
        const gradient = gradients.read(name);
        gradients.write(name, tf.mul(gradient, 0.5));
        gradient.dispose();
      }
    });
  });

test.each([1, 2, 3] as const)(
  'stage %s: a plugin ahead of it gets the gradients of all ranks, and changes them',
  async (stage) => {
    const whole = await wholeRun([halving()], train);
    for (const run of await shardedRuns(2, () => [halving()], { stage }, train)) expectSame(run, whole);
  },
);

test.each([1, 2] as const)(
  'stage %s keeps no copy of what was there before a checkpoint was restored',
  async (stage) => {
    const restoring = (isRestored: boolean) =>
      plugin(
        'restoring',
        ({ hooks, services }) => {
          hooks.refInit.tap(() => {
            const { store } = services;
            for (const name of isRestored ? store.names : []) {
              const value = store.readShard(name, 'policy');
              // a buffer of its own: what was read is known to be what is there
              store.writeShard(name, 'policy', value.add(0));
              value.dispose();
            }
          });
        },
        { store: ParameterStore },
      );
    const bytes = async (isRestored: boolean) =>
      (await shardedRuns(2, () => [restoring(isRestored)], { stage }, { steps: 1 })).map(({ bytes }) => bytes);
    expect(await bytes(true)).toEqual(await bytes(false));
  },
);
