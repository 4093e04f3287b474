import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { logSigmoid, sortDescending, withoutGradient } from '../../../plugins/dpo/calculus.ts';
import { divergences } from '../../../plugins/dpo/divergences.ts';
import { losses } from '../../../plugins/dpo/losses.ts';
import type { DivergenceType, LossType } from '../../../plugins/dpo/options.ts';
import { twoPairs } from './support.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

// Throughout: beta = 0.5. First pair c = 2, r = -1, so d = 3 and beta d = 1.5. Second pair c = 0.5, r = 1, so d = -0.5
// and beta d = -0.25. With s(x) = 1 / (1 + e^-x):
//   s(1.5) = 0.817574   -log s(1.5)  = 0.201413   -log s(-1.5) = 1.701413
//   s(1)   = 0.731059   -log s(1)    = 0.313262   -log s(-1)   = 1.313262
//   s(0.5) = 0.622459   -log s(0.5)  = 0.474077   -log s(-0.5) = 0.974077
//   s(0.25) = 0.562177  -log s(0.25) = 0.575939   -log s(-0.25) = 0.825939
const cases: readonly [Exclude<LossType, 'sft'>, labelSmoothing: number, arithmetic: string, expected: number[]][] = [
  ['sigmoid', 0, '-log s(1.5), -log s(-0.25)', [0.201413, 0.825939]],
  ['hinge', 0, 'max(0, 1 - 1.5), max(0, 1 + 0.25)', [0, 1.25]],
  ['ipo', 0, "d' = 2/2 + 1/4 = 1.25, 0.5/2 - 1/4 = 0; (d' - 1)^2", [0.0625, 1]],
  [
    'sigmoid_norm',
    0,
    "-log s(0.5 * 1.25) = log(1 + e^-0.625) = log 1.535261; d' = 0 gives log 2",
    [0.428701, Math.LN2],
  ],
  ['bco_pair', 0, '-log s(1) - log s(0.5); -log s(0.25) - log s(-0.5)', [0.787339, 1.550016]],
  ['nca_pair', 0, '0.313262 + (1.313262 + 0.474077) / 2; 0.575939 + (0.825939 + 0.974077) / 2', [1.206931, 1.475947]],
  ['sppo_hard', 0, '(2 - 1)^2 + (-1 + 1)^2; (0.5 - 1)^2 + (1 + 1)^2', [1, 4.25]],
  ['apo_zero', 0, '1 - s(1) + s(-0.5); 1 - s(0.25) + s(0.5)', [0.646482, 1.060283]],
  ['apo_down', 0, 's(1) + 1 - s(1.5); s(0.25) + 1 - s(-0.25)', [0.913484, 1.124353]],
  [
    'robust',
    0.1,
    '(0.9 * 0.201413 - 0.1 * 1.701413) / 0.8; (0.9 * 0.825939 - 0.1 * 0.575939) / 0.8',
    [0.013913, 0.857189],
  ],
  [
    'exo_pair',
    0.1,
    '0.817574 (-0.201413 - log 0.9) + 0.182426 (-1.701413 - log 0.1); 0.437823 (-0.825939 + 0.105361) + 0.562177 (-0.575939 + 2.302585)',
    [0.031139, 0.655193],
  ],
  [
    'discopop',
    0,
    'tau = 0.5: m = s(3) = 0.952574, 0.047426 * 0.201413 + m e^-1.5; m = s(-0.5) = 0.377541, 0.622459 * 0.825939 + m e^0.25',
    [0.2221, 0.998886],
  ],
  ['aot', 0, 'margins 1, 1.5 and -2, 2 sorted: 1.5 - 2, 1 + 2; -log s(-0.25), -log s(1.5)', [0.825939, 0.201413]],
  ['aot', 0.1, '0.9 * 0.825939 + 0.1 * 0.575939; 0.9 * 0.201413 + 0.1 * 1.701413', [0.800939, 0.351413]],
  ['aot_unpaired', 0, 'sorted 2, 0.5 and 1, -1: -log s(0.5), -log s(0.75) = log(1 + e^-0.75)', [0.474077, 0.386871]],
];

describe('a loss of pairs', () => {
  it.each(cases)('is computed as written: %s, labelSmoothing %d: %s', (type, labelSmoothing, _, expected) => {
    const pairs = twoPairs();
    const scored = { ...pairs, chosenScores: pairs.chosenLogratios, rejectedScores: pairs.rejectedLogratios };
    const parameters = { beta: 0.5, labelSmoothing, discopopTau: 0.5 };
    const values = Array.from(losses[type](scored, parameters).dataSync());
    expect(values).toEqual(expected.map((value) => expect.closeTo(value, 5)));
  });

  it('is finite, with a finite gradient, for completions that are worlds apart', () => {
    const extreme = tf.tensor1d([2000, -2000]);
    for (const type of Object.keys(losses) as (keyof typeof losses)[]) {
      const { value, grads } = tf.engine().gradients(
        () => {
          const pairs = { ...twoPairs(), chosenLogratios: extreme, rejectedLogratios: tf.neg(extreme) };
          const scored = { ...pairs, chosenScores: extreme, rejectedScores: tf.neg(extreme) };
          return tf.sum(losses[type](scored, { beta: 0.5, labelSmoothing: 0.1, discopopTau: 0.05 }));
        },
        [extreme],
        undefined,
        true,
      );
      const figures = [...value.dataSync(), ...(grads[0]?.dataSync() ?? [])];
      expect([type, figures.every(Number.isFinite)]).toEqual([type, true]);
    }
  });
});

describe('a divergence', () => {
  // r = 0.5: e^-0.5 = 0.606531; log s(0.5) = -0.474077; alpha 0.5: e^(-0.5 * 0.5) / -0.5 = 0.778801 / -0.5
  it.each<[DivergenceType, alpha: number, logratio: number, score: number]>([
    ['reverse_kl', 0.5, 0.5, 0.5],
    ['forward_kl', 0.5, 0.5, -0.606531],
    ['js_divergence', 0.5, 0.5, -0.474077],
    ['alpha_divergence', 0.5, 0.5, -1.557602],
    ['alpha_divergence', 1, 0.5, 0.5],
    ['alpha_divergence', 3, 1, 3.694528], // e^2 / 2
    ['alpha_divergence', 2, 100, 5.540622e34], // the exponent stops at 80
  ])('scores a log-ratio: %s, alpha %d, r = %d', (type, alpha, logratio, score) => {
    const value = divergences[type](tf.scalar(logratio), alpha).dataSync()[0] as number;
    expect(value / score).toBeCloseTo(1, 5);
  });

  it('never prefers the less likely of two completions', () => {
    const logratio = fc.float({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(divergences) as DivergenceType[])),
        logratio,
        logratio,
        (type, a, b) => {
          const [low, high] = divergences[type](tf.tensor1d([Math.min(a, b), Math.max(a, b)]), 0.5).dataSync();
          expect(low).toBeLessThanOrEqual(high as number);
        },
      ),
    );
  });
});

describe('calculus', () => {
  const gradientOf = (f: (x: tf.Tensor) => tf.Tensor, values: number[], dy: number[]) => {
    const x = tf.tensor1d(values);
    return Array.from(
      tf
        .engine()
        .gradients(() => f(x), [x], tf.tensor1d(dy), true)
        .grads[0]?.dataSync() ?? [],
    );
  };

  it('knows log s(x) far out on both sides', () => {
    expect(Array.from(logSigmoid(tf.tensor1d([-200, 200])).dataSync())).toEqual([-200, -0]);
    expect(gradientOf(logSigmoid, [-200, 0, 200], [1, 1, 1])).toEqual([1, 0.5, 0]);
  });

  it('sends gradients through a sort to where the values came from', () => {
    expect(Array.from(sortDescending(tf.tensor1d([3, 1, 4, 1.5])).dataSync())).toEqual([4, 3, 1.5, 1]);
    expect(gradientOf(sortDescending, [3, 1, 4, 1.5], [10, 20, 30, 40])).toEqual([20, 40, 10, 30]);
  });

  it('keeps constants out of the gradient', () => {
    const f = (x: tf.Tensor) => tf.mul(x, withoutGradient(tf.exp, x));
    expect(gradientOf(f, [0, 0], [1, 2])).toEqual([1, 2]);
  });
});
