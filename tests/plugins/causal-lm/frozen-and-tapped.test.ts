import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { createTrainer, Driver, definePlugin, ParameterStore } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { fixture, passOf, readExpected, rowsFrom } from './support.ts';

// a backward run leaves out what no gradient reads: neither frozen weights nor taps may change the others' gradients

const down = /(down_proj|mlp\.c_proj)\.weight$/;
const isHead = /(lm_head|wte|embed_tokens)\.weight$/;

/** Gradients by name, with some weights frozen and with taps that change nothing. */
async function gradientsOf(name: string, options: { frozen?: RegExp; taps?: boolean } = {}) {
  const idle = definePlugin({
    name: 'idle',
    apiVersion: 1,
    apply({ hooks }) {
      if (options.taps !== true) return;
      hooks.readParameter.tap((value) => tf.mul(value, 1));
      hooks.projection.tap((output) => tf.mul(output, 1));
    },
  });
  const rows = rowsFrom(await readExpected(fixture(name)));
  const trainer = createTrainer({ model: fixture(name), train: { engine: 'native' } }).use(causalLm(), idle());
  return trainer.withServices({ driver: Driver, store: ParameterStore }, async ({ driver, store }) => {
    for (const each of store.names) if (options.frozen?.test(each)) store.setTrainable(each, false);
    const pass = passOf(rows, ['logps'], true);
    const { logps } = await driver.forward(pass);
    await driver.backward(pass, { logps: tf.ones(logps?.shape as number[]) });
    const read = (each: string) => tf.tidy(() => store.gradients.read(each).dataSync<'float32'>());
    return new Map(store.gradients.names.map((each) => [each, read(each)]));
  });
}

test.each(['gpt2', 'qwen2', 'llama'])(
  'frozen weights and idle taps leave the other gradients alone: %s',
  async (name) => {
    const all = await gradientsOf(name);
    const variants = [{ frozen: down }, { frozen: isHead }, { taps: true }, { taps: true, frozen: down }];
    for (const variant of variants) {
      const some = await gradientsOf(name, variant);
      const expected = [...all.keys()].filter((each) => variant.frozen?.test(each) !== true);
      expect([...some.keys()].sort()).toEqual(expected.sort());
      for (const [parameter, values] of some) {
        const wanted = all.get(parameter) as Float32Array;
        const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const difference = values.reduce(
          (most, value, at) => Math.max(most, Math.abs(value - (wanted[at] as number))),
          0,
        );
        expect([parameter, difference <= 1e-5 * scale]).toEqual([parameter, true]);
      }
    }
  },
);
