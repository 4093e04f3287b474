import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openEngine } from '../../../core/engine/engine.ts';
import type { AdapterParameter, LoraModule } from '../../../plugins/peft-lora/adapter.ts';
import { withLora } from '../../../plugins/peft-lora/lora.ts';

const parameter = (local: string): AdapterParameter => ({
  block: 'layer',
  local,
  key: local,
  spec: { name: local, shape: [], isDecayed: true },
});
const module: LoraModule = {
  block: 'layer',
  module: 'linear',
  name: 'linear',
  kind: 'linear',
  layout: 'out,in',
  weight: 'weight',
  inputs: 5,
  outputs: 4,
  r: 2,
  alpha: 3,
  scaling: 1.5,
  a: parameter('a'),
  b: parameter('b'),
  magnitude: parameter('m'),
  bias: 'bias',
  isInWeight: false,
};

// m / n (W + s B A) x + bias, where n = ||W + s B A|| is a constant to the gradients (DoRA, section 4.3)
test('the gradients of DoRA take the norm for a constant', async () => {
  await openEngine('cpu');
  tf.tidy(() => {
    const [x, w, a, b] = [
      [3, 5],
      [4, 5],
      [2, 5],
      [4, 2],
    ].map((shape, seed) => tf.randomNormal(shape, 0, 1, 'float32', seed + 1));
    const [m, bias] = [5, 6].map((seed) => tf.randomUniform([4], 1, 2, 'float32', seed));
    const values = [x, a, b, m] as tf.Tensor2D[];
    const norm = tf.norm(tf.add(w as tf.Tensor, tf.mul(tf.matMul(b as tf.Tensor2D, a as tf.Tensor2D), 1.5)), 2, 1);
    const ours = (input: tf.Tensor, a: tf.Tensor, b: tf.Tensor, m: tf.Tensor) => {
      const read: Record<string, tf.Tensor> = { a, b, m, bias: bias as tf.Tensor };
      const output = tf.add(tf.matMul(input as tf.Tensor2D, w as tf.Tensor2D, false, true), bias as tf.Tensor);
      const computed = { output, input, mask: undefined, weight: () => w as tf.Tensor };
      return tf.sum(tf.square(withLora(module, computed, (local) => read[local] as tf.Tensor)));
    };
    const byFormula = (x: tf.Tensor, a: tf.Tensor, b: tf.Tensor, m: tf.Tensor) => {
      const whole = tf.add(w as tf.Tensor, tf.mul(tf.matMul(b as tf.Tensor2D, a as tf.Tensor2D), 1.5));
      const scaled = tf.mul(whole, tf.reshape(tf.div(m, norm), [-1, 1]));
      return tf.sum(
        tf.square(tf.add(tf.matMul(x as tf.Tensor2D, scaled as tf.Tensor2D, false, true), bias as tf.Tensor)),
      );
    };
    const found = tf.valueAndGrads(ours as (...each: tf.Tensor[]) => tf.Scalar)(values);
    const wanted = tf.valueAndGrads(byFormula as (...each: tf.Tensor[]) => tf.Scalar)(values);
    for (const [at, gradient] of [found.value, ...found.grads].entries()) {
      const difference = tf.max(tf.abs(tf.sub(gradient, [wanted.value, ...wanted.grads][at] as tf.Tensor)));
      const size = tf.max(tf.abs(gradient)).dataSync()[0] as number;
      expect(difference.dataSync()[0]).toBeLessThan(1e-5 * size);
    }
  });
});
