import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  createTrainer,
  Driver,
  definePlugin,
  Engine,
  type ParameterStorage,
  ParameterStore,
  type TrainSettings,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { fixture, passOf, readExpected, rowsFrom } from './support.ts';

/** Freezes all but the norms, and stores it so, before there are weights; its tap changes nothing. */
const frozenBase = (storage: ParameterStorage, isTapped: boolean) =>
  definePlugin({
    name: 'frozen-base',
    apiVersion: 1,
    uses: { store: ParameterStore },
    apply({ hooks, services }) {
      if (isTapped) hooks.readParameter.tap((value) => value);
      hooks.modelDefined.tap(({ model }) => {
        const { store } = services;
        for (const { name } of model.parameters) {
          if (/norm/.test(name)) continue;
          store.setTrainable(name, false);
          store.setStorage(name, storage);
        }
      });
    },
  })();

interface Way {
  readonly train: Partial<TrainSettings>;
  /** How far gradients may be from those of float32 storage. */
  readonly rounding: number;
  readonly isTapped?: boolean;
}

type Figures = Record<string, number[]>;

function figuresOf(tensors: readonly (readonly [string, tf.Tensor])[]): Figures {
  return Object.fromEntries(tensors.map(([name, tensor]) => [name, Array.from(tensor.dataSync())]));
}

/** Outputs and gradients of a pass, what a forward pass keeps, and the bytes of the weights. */
async function scored(storage: ParameterStorage, { train, isTapped = false }: Way) {
  const name = 'llama-bf16-sharded';
  const rows = rowsFrom(await readExpected(fixture(name)));
  const trainer = createTrainer({ model: fixture(name), train }).use(causalLm(), frozenBase(storage, isTapped));
  const uses = { driver: Driver, store: ParameterStore, engine: Engine };
  return trainer.withServices(uses, async ({ driver, store, engine }) => {
    await driver.prepare?.({ steps: 1, sample: async () => [[rows]] });
    const pass = passOf(rows, ['logps', 'entropy'], true);
    const warm = await driver.forward(pass);
    await driver.backward(pass, { logps: tf.ones([warm.logps?.size as number]) });
    tf.dispose(Object.values(warm));
    store.gradients.clear();
    const before = engine.memory().bytes;
    const outputs = await driver.forward(pass);
    const kept = engine.memory().bytes - before;
    await driver.backward(pass, { logps: tf.linspace(-1, 1, outputs.logps?.size as number) });
    const gradients = store.gradients.names.map((each) => [each, store.gradients.read(each)] as const);
    return {
      outputs: figuresOf(Object.entries(outputs)),
      gradients: figuresOf(gradients),
      kept,
      bytes: store.bytesResident('policy'),
    };
  });
}

const ways: readonly Way[] = [
  { train: { engine: 'cpu' }, rounding: 0 },
  { train: { engine: 'wasm' }, rounding: 0 },
  { train: { engine: 'native', compile: 'off' }, rounding: 0 },
  { train: { engine: 'native', compile: 'off' }, rounding: 0, isTapped: true },
  // XLA fuses other operations, and so adds up gradients in another order; what is computed forward is equal
  { train: { engine: 'native', compile: 'on' }, rounding: 1e-6 },
];

test.each(ways)('a frozen base stored as bfloat16 is what it is as float32, in half the bytes: %j', async (way) => {
  const whole = await scored('float32', way);
  const half = await scored('bfloat16', way);
  expect(half.outputs).toEqual(whole.outputs);
  expect(Object.keys(half.gradients)).toContain('model.norm.weight');
  expect(largestDifference(half.gradients, whole.gradients)).toBeLessThanOrEqual(way.rounding);
  expect(half.bytes).toBeLessThan(0.52 * whole.bytes);
  // nothing that was widened waits for the backward pass
  expect(half.kept).toBe(whole.kept);
});

function largestDifference(ours: Figures, theirs: Figures): number {
  expect(Object.keys(ours)).toEqual(Object.keys(theirs));
  const differences = Object.entries(ours).flatMap(([name, values]) =>
    values.map((value, at) => Math.abs(value - (theirs[name]?.[at] as number))),
  );
  return differences.reduce((largest, each) => Math.max(largest, each), 0);
}
