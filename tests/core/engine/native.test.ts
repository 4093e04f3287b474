import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openEngine } from '../../../core/engine/engine.ts';

test('runs and differentiates inside jest', async () => {
  const engine = await openEngine('native');
  expect(engine.name).toBe('native');
  expect(tf.getBackend()).toBe('tensorflow');
  const before = engine.memory();
  const x = tf.tensor(new Float32Array([1, 2, 3, 4]), [2, 2]);
  expect(engine.memory().bytes - before.bytes).toBe(16);
  const g = tf.grad((x: tf.Tensor) => tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D).sum())(x);
  expect(Array.from(g.dataSync())).toEqual([7, 11, 9, 13]);
  expect(g.dataSync()).toBeInstanceOf(Float32Array);
});
