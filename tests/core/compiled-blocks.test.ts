import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Engine, ParameterStore } from 'mooring';
import { toyRun } from 'mooring/testing';
import { readInstalled } from '../../core/engine/install/cache.ts';
import { compiled, eagerly, expectSame, type LayerFunction, stacked, warnings } from './compiled.ts';
import { openNative } from './engine/compile/support.ts';
import { plugin } from './support.ts';

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;

ifInstalled.each(['none', 'block'] as const)('with recompute %s, compiled blocks train as eager ones', (recompute) => {
  const withGradient =
    (dx: (dy: tf.Tensor, weight: tf.Tensor) => [tf.Tensor, tf.Tensor]): LayerFunction =>
    (scope, hidden) => {
      const weight = scope.parameter('weight');
      return tf.customGrad((...given) => {
        (given.at(-1) as tf.GradSaveFunc)([weight]);
        return {
          value: tf.matMul(given[0] as tf.Tensor2D, given[1] as tf.Tensor2D),
          gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => dx(dy, saved[0] as tf.Tensor),
        };
      })(hidden, weight);
    };
  const layers: Record<string, LayerFunction> = {
    'that read their input and parameters': (scope, hidden) => tf.add(hidden, scope.linear('mix', tf.sin(hidden))),
    'whose gradient is the one that came in': withGradient((dy, weight) => [dy, tf.mul(weight, tf.sum(dy))]),
    'whose gradient is a constant': withGradient((dy, weight) => [
      tf.fill(dy.shape, 0.1),
      tf.tensor(new Float32Array(weight.size).fill(0.3), weight.shape),
    ]),
    'whose gradient is a parameter': withGradient((dy, weight) => [tf.mul(dy, 2), weight]),
    'that use no parameter': (_, hidden) => tf.tanh(hidden),
    'that do not read what comes from below': (scope, hidden) =>
      tf.add(tf.sum(scope.parameter('weight')), tf.fill(hidden.shape, 0.5)),
    'that pass on what they get': (_, hidden) => hidden,
    'that use a parameter twice': (scope, hidden) => scope.linear('mix', tf.tanh(scope.linear('mix', hidden))),
  };
  test.each(Object.entries(layers))('%s', async (_, layer) => {
    const run = await compiled([stacked(2, layer)], { recompute });
    expectSame(run, await eagerly([stacked(2, layer)]));
    expect(warnings(run)).toEqual([]);
  });

  const freezing = (pattern: RegExp) =>
    plugin(
      'freezing',
      ({ hooks, services }) => {
        hooks.modelDefined.tap(({ model }) => {
          for (const { name } of model.parameters) if (pattern.test(name)) services.store.setTrainable(name, false);
        });
      },
      { store: ParameterStore },
    );
  test.each([/embedding/, /head/, /embedding|layer 0/, /layer 1/, /embedding|layer/, /bias/])(
    'of which some are frozen: %s',
    async (pattern) => {
      const run = await compiled([stacked(2), freezing(pattern)], { recompute });
      expectSame(run, await eagerly([stacked(2), freezing(pattern)]));
      expect(warnings(run)).toEqual([]);
    },
  );
});

ifInstalled('a compiled run', () => {
  test('goes on eagerly, and says so, where TensorFlow cannot load what was recorded', async () => {
    const odd: LayerFunction = (scope, hidden) => tf.mul(scope.linear('mix', hidden), 0.7431);
    const { backend } = await openNative();
    backend.loadSavedModelMetaGraph = () => {
      throw new Error('no room');
    };
    try {
      const run = await compiled([stacked(2, odd)]);
      expect(warnings(run)).toEqual([
        expect.stringMatching(/run eagerly.*TensorFlow cannot compile it: Error: no room/),
      ]);
      expectSame(run, await eagerly([stacked(2, odd)]));
    } finally {
      Reflect.deleteProperty(backend, 'loadSavedModelMetaGraph'); // the class's own is back
    }
  });

  test('leaves no tensor behind, and its executables to the next run of the same shapes', async () => {
    const { backend } = await openNative();
    const before = tf.memory().numTensors;
    const counts: object[] = [];
    const sessions: number[] = [];
    const counter = plugin(
      'counter',
      ({ hooks, services }) => {
        hooks.stepEnd.tap(() => {
          counts.push(services.engine.memory());
          sessions.push(backend.getNumOfSavedModels());
        });
      },
      { engine: Engine },
    );
    const train = () => toyRun([stacked(3), counter], { engine: 'native', compile: 'on', steps: 8 }).trainer.train();
    await train();
    expect(counts[7]).toEqual(counts[1]);
    await train();
    expect(new Set(sessions).size).toBe(1);
    expect(tf.memory().numTensors).toEqual(before);
  });
});
