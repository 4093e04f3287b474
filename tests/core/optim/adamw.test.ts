import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type Engine, engineNames, openEngine } from '../../../core/engine/engine.ts';
import { createAdamW } from '../../../core/optim/adamw.ts';
import { createParameterStore } from '../../../core/parameters/store.ts';

interface Trace {
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly shape: number[];
  readonly start: number[];
  readonly gradients: number[][];
  readonly learningRates: number[];
  readonly scales: number[];
  readonly values: number[][];
}

// what torch computed; tests/fixtures/make/optim.py made it
const traces: Record<string, Trace> = JSON.parse(
  readFileSync(new URL('../../fixtures/optim/adamw.json', import.meta.url), 'utf8'),
);
const defaults = { weightDecay: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8 };

describe.each(engineNames)('AdamW on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine(name);
  });

  function storeOf(names: readonly string[], shape: number[], isDecayed = true) {
    const store = createParameterStore(engine);
    for (const parameter of names) {
      store.define({ name: parameter, shape, isDecayed });
      store.load(parameter, tf.ones(shape));
    }
    return store;
  }

  function valuesOf(store: ReturnType<typeof storeOf>, parameter: string) {
    return tf.tidy(() => Array.from(store.read(parameter, 'policy').dataSync<'float32'>()));
  }

  test.each(Object.keys(traces))("gives torch's parameters at every step, with %s", (label) => {
    const trace = traces[label] as Trace;
    const store = createParameterStore(engine);
    const optimizer = createAdamW({ store, engine, ...trace });
    store.define({ name: 'w', shape: trace.shape, isDecayed: true });
    store.load('w', tf.tensor(trace.start, trace.shape));
    trace.gradients.forEach((gradient, step) => {
      store.accumulate('w', tf.tensor(gradient, trace.shape));
      optimizer.step(store.gradients, {
        learningRate: trace.learningRates[step] as number,
        scale: trace.scales[step] as number,
      });
      store.gradients.clear();
      valuesOf(store, 'w').forEach((value, at) => {
        const expected = trace.values[step]?.[at] as number;
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-6 * Math.abs(expected));
      });
    });
    optimizer.dispose();
    store.dispose();
  });

  test('decays only parameters that are decayed', () => {
    const store = storeOf(['bias'], [2], false);
    const optimizer = createAdamW({ store, engine, ...defaults, weightDecay: 0.5 });
    store.accumulate('bias', tf.zeros([2]));
    optimizer.step(store.gradients, { learningRate: 0.1, scale: 1 });
    expect(valuesOf(store, 'bias')).toEqual([1, 1]);
    optimizer.dispose();
    store.dispose();
  });

  test('leaves parameters without a gradient alone', () => {
    const store = storeOf(['trained', 'idle'], [2]);
    const optimizer = createAdamW({ store, engine, ...defaults });
    store.accumulate('trained', tf.ones([2]));
    optimizer.step(store.gradients, { learningRate: 0.1, scale: 1 });
    expect(valuesOf(store, 'idle')).toEqual([1, 1]);
    expect(Array.from(optimizer.save().tensors, ([moment, value]) => [moment, value.dispose()][0])).toEqual([
      'trained/exp_avg',
      'trained/exp_avg_sq',
    ]);
    optimizer.dispose();
    store.dispose();
  });

  test('goes on from a saved state as if it had never stopped', () => {
    const step = (store: ReturnType<typeof storeOf>, optimizer: ReturnType<typeof createAdamW>, gradient: number) => {
      store.accumulate('w', tf.fill([3], gradient));
      optimizer.step(store.gradients, { learningRate: 0.1, scale: 1 });
      store.gradients.clear();
    };
    const store = storeOf(['w'], [3]);
    const through = createAdamW({ store, engine, ...defaults });
    for (const gradient of [1, -2]) step(store, through, gradient);

    const resumed = createParameterStore(engine);
    resumed.define(store.spec('w'));
    resumed.load('w', store.read('w', 'policy'));
    const optimizer = createAdamW({ store: resumed, engine, ...defaults });
    const saved = through.save();
    optimizer.load({ json: JSON.parse(JSON.stringify(saved.json)), tensors: saved.tensors });

    step(store, through, 0.5);
    step(resumed, optimizer, 0.5);
    expect(valuesOf(resumed, 'w')).toEqual(valuesOf(store, 'w'));
    for (const owner of [through, optimizer, store, resumed]) owner.dispose();
  });

  test('refuses a state of other parameters, another shape, or with a moment missing', () => {
    const store = storeOf(['w'], [3]);
    const optimizer = createAdamW({ store, engine, ...defaults });
    const state = (parameter: string, size: number, moments = ['exp_avg', 'exp_avg_sq']) =>
      moments.map((moment) => [`${parameter}/${moment}`, tf.zeros([size])] as const);
    const refused = expect.objectContaining({ code: 'OPTIMIZER_STATE' });
    const before = tf.memory().numTensors;
    expect(() => optimizer.load({ json: { steps: 1 }, tensors: [] })).toThrow(refused);
    expect(() => optimizer.load({ json: { steps: { v: 1 } }, tensors: state('v', 3) })).toThrow(refused);
    expect(() => optimizer.load({ json: { steps: { w: 1 } }, tensors: state('w', 3, ['exp_avg']) })).toThrow(refused);
    expect(() => optimizer.load({ json: { steps: {} }, tensors: state('w', 3) })).toThrow(refused);
    expect(tf.memory().numTensors).toBe(before);

    optimizer.load({ json: { steps: { w: 1 } }, tensors: state('w', 2) });
    store.accumulate('w', tf.zeros([3]));
    expect(() => optimizer.step(store.gradients, { learningRate: 0.1, scale: 1 })).toThrow(refused);
    optimizer.dispose();
    store.dispose();
  });

  test('keeps no tensor of a step and disposes every one it made', () => {
    const before = tf.memory().numTensors;
    const store = storeOf(['w'], [3]);
    const optimizer = createAdamW({ store, engine, ...defaults });
    const counts = [1, 2, 3].map(() => {
      store.accumulate('w', tf.ones([3]));
      optimizer.step(store.gradients, { learningRate: 0.1, scale: 0.5 });
      store.gradients.clear();
      return tf.memory().numTensors;
    });
    expect(new Set(counts).size).toBe(1);
    optimizer.dispose();
    store.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
