import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import {
  type DivergenceName,
  exactDivergence,
  type LogRatioStatistic,
  logRatioStatistic,
  logRatioStatistics,
  maskedMean,
  meanBySequence,
  sumBySequence,
} from 'mooring';
import { openEngine } from '../../core/engine/engine.ts';

const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 2, 'float32', seed);
const scalar = (tensor: tf.Tensor) => tensor.dataSync()[0] as number;

describe('statistics of log-ratios', () => {
  beforeAll(async () => {
    await openEngine('cpu');
  });
  // every word once, weighted by the policy's probability of it: expectations over own samples without sampling
  const words = 6;
  const [logits, other] = [() => random([words], 1), () => random([words], 2)];
  const expected = (name: LogRatioStatistic, gradient: 'value' | 'unbiased') => {
    const p = tf.softmax(logits());
    const f = (x: tf.Tensor) =>
      tf.sum(tf.mul(p, logRatioStatistic(name, tf.logSoftmax(x), tf.logSoftmax(other()), { gradient })));
    const { value, grad } = tf.valueAndGrad((x) => f(x) as tf.Scalar)(logits());
    return { value: scalar(value), gradient: Array.from(grad.dataSync()) };
  };
  const exact = (of: DivergenceName) => {
    const { value, grad } = tf.valueAndGrad((x) => exactDivergence(x, other(), { of }) as tf.Scalar)(logits());
    return { value: scalar(value), gradient: Array.from(grad.dataSync()) };
  };
  const near = (found: readonly number[], wanted: readonly number[]) =>
    found.forEach((value, at) => {
      expect(value).toBeCloseTo(wanted[at] as number, 4);
    });

  test('k1 and k3 have the expectation KL(policy || reference) over own samples', () => {
    for (const name of ['k1', 'k3'] as const) expect(expected(name, 'value').value).toBeCloseTo(exact('kl').value, 4);
  });

  test('of their own gradients k1 has nothing to say, k2 is that of KL(policy || reference), k3 of KL(reference || policy)', () => {
    near(expected('k1', 'value').gradient, new Array(words).fill(0));
    near(expected('k2', 'value').gradient, exact('kl').gradient);
    near(expected('k3', 'value').gradient, exact('referenceKl').gradient);
  });

  test('unbiased, each keeps its value and has the gradient of KL(policy || reference)', () => {
    for (const name of logRatioStatistics) {
      expect(expected(name, 'unbiased').value).toBeCloseTo(expected(name, 'value').value, 6);
      near(expected(name, 'unbiased').gradient, exact('kl').gradient);
    }
  });

  test('are never negative but k1, and precise near the reference', () => {
    fc.assert(
      fc.property(fc.double({ min: -20, max: 20, noNaN: true }), (d) => {
        const of = (name: LogRatioStatistic) => scalar(logRatioStatistic(name, tf.scalar(0), tf.scalar(d)));
        expect(of('k2')).toBeGreaterThanOrEqual(0);
        expect(of('k3')).toBeGreaterThanOrEqual(0);
      }),
    );
    const small = scalar(logRatioStatistic('k3', tf.scalar(0), tf.scalar(1e-3)));
    expect(small / 5.001667e-7).toBeCloseTo(1, 3);
  });

  test('are averaged over real tokens, and summed and averaged by sequence', () => {
    const values = tf.tensor1d([1, 2, 3, 10]);
    const row = Int32Array.of(0, 0, 2, 2);
    expect(scalar(maskedMean(values, tf.tensor1d([1, 0, 1, 0])))).toBe(2);
    expect(scalar(maskedMean(values, tf.zeros([4])))).toBe(0);
    expect(Array.from(sumBySequence(values, row, 3).dataSync())).toEqual([3, 0, 13]);
    expect(Array.from(meanBySequence(values, row, 3).dataSync())).toEqual([1.5, 0, 6.5]);
  });
});
