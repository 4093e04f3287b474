import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';

/** A function of tensors, to be differentiated. */
export type Formula = (...inputs: tf.Tensor[]) => tf.Tensor;

/** Values and gradients of both agree within float32 rounding; a fixed random `dy` weighs every element differently. */
export function expectSame(primitive: Formula, formula: Formula, inputs: tf.Tensor[]): void {
  const dy = tf.randomNormal(formula(...inputs).shape, 0, 1, 'float32', 11);
  const run = (f: Formula) => {
    const { value, grads } = tf.engine().gradients(() => f(...inputs), inputs, dy);
    return [value, ...grads].map((each) => Array.from(each.dataSync()));
  };
  const [ours, theirs] = [run(primitive), run(formula)];
  ours.forEach((values, part) => {
    for (const [at, value] of values.entries()) expect(value).toBeCloseTo(theirs[part]?.[at] as number, 4);
  });
}

/** Normal values, the same for the same seed. */
export const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);
