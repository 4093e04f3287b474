import * as tf from '@tensorflow/tfjs';
import { openEngine } from '../../core/engine/engine.ts';
import { createAdamW } from '../../core/optim/adamw.ts';
import { createParameterStore } from '../../core/parameters/store.ts';
import { type BenchModel, benchModels } from './models.ts';

// times what an optimizer step consists of, in milliseconds, on the parameters of a model: node ... optimizer.ts 0.1b
const [name = '0.1b'] = process.argv.slice(2);
const { hidden, layers, heads, keyValueHeads, feedForward, vocabulary } = benchModels[name as BenchModel];
const narrow = (hidden / heads) * keyValueHeads;
const layer = [
  ...[hidden, narrow, narrow].flatMap((size) => [[size, hidden], [size]]),
  [hidden, hidden],
  ...[feedForward, feedForward].map((size) => [size, hidden]),
  [hidden, feedForward],
  [hidden],
  [hidden],
];
const shapes = [[vocabulary, hidden], ...Array.from({ length: layers }, () => layer).flat(), [hidden]];

const engine = await openEngine('native');
const store = createParameterStore(engine);
const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
const optimizer = createAdamW({ store, engine, weightDecay: 0.01, ...adam });
const withoutDecay = createAdamW({ store, engine, weightDecay: 0, ...adam });
shapes.forEach((shape, index) => {
  store.define({ name: String(index), shape, isDecayed: shape.length > 1 });
  store.load(String(index), tf.randomNormal(shape));
});

const accumulate = () => {
  for (const [index, shape] of shapes.entries()) store.accumulate(String(index), tf.fill(shape, 1e-3));
};
const fill = () => {
  for (const shape of shapes) tf.fill(shape, 1e-3).dispose();
};
const step = (scale: number) => () => optimizer.step(store.gradients, { learningRate: 1e-4, scale });
accumulate();
console.log(
  JSON.stringify({
    parameters: shapes.reduce((total, [rows = 1, columns = 1]) => total + rows * columns, 0),
    norm: time(() => store.gradients.globalNorm()),
    adam: time(() => withoutDecay.step(store.gradients, { learningRate: 1e-4, scale: 1 })),
    adam_and_decay: time(step(1)),
    adam_decay_and_clip: time(step(0.5)),
    fill_and_accumulate: time(accumulate),
    fill: time(fill),
    norm_of_accumulated: time(() => store.gradients.globalNorm()),
    step_with_accumulated: time(step(0.5)),
  }),
);

/** The fastest of several runs. */
function time(run: () => unknown): number {
  const times = Array.from({ length: 8 }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return Number(Math.min(...times).toFixed(1));
}
