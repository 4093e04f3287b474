// Prints how resident memory grows, in MiB: by a snapshot of 8 parameters of 32 MiB, then by training 6 of them.
// It has a process of its own because the native engine keeps what other tests have freed.
import '../../../core/cli/register.js';
import * as tf from '@tensorflow/tfjs';

const { openEngine } = await import('../../../core/engine/engine.ts');
const { createAdamW } = await import('../../../core/optim/adamw.ts');
const { createParameterStore } = await import('../../../core/parameters/store.ts');

const shape = [8, 2 ** 20];
const trained = ['alpha', 'bravo', 'charlie', 'delta', 'echo', 'foxtrot'];
const frozen = ['golf', 'hotel'];
const engine = await openEngine('native');
const store = createParameterStore(engine);
const optimizer = createAdamW({ store, engine, weightDecay: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 });
for (const name of [...trained, ...frozen]) {
  store.define({ name, shape, isDecayed: true });
  store.load(name, tf.fill(shape, 1));
}
for (const name of frozen) store.setTrainable(name, false);

// the optimizer's state and all that a step needs meanwhile are there from the start
step();
step();
const start = resident();
store.addView('reference');
const bySnapshot = resident() - start;
step();
step();
const byTraining = resident() - start;
console.log(JSON.stringify({ bySnapshot, byTraining, counted: store.bytesResident('reference') / 2 ** 20 }));

function step() {
  for (const name of trained) {
    store.accumulate(name, tf.fill(shape, 1));
    optimizer.step(store.gradients, { learningRate: 1e-3, scale: 0.5 });
    store.gradients.clear();
  }
}

function resident() {
  return process.memoryUsage().rss / 2 ** 20;
}
