import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { type DivergenceName, divergenceNames, exactDivergence } from 'mooring';
import { openEngine } from '../../core/engine/engine.ts';
import { readInstalled } from '../../core/engine/install/cache.ts';

const engines = ['cpu', 'wasm', ...(readInstalled() === undefined ? [] : ['native' as const])] as const;
const scalar = (tensor: tf.Tensor) => tensor.dataSync()[0] as number;
const weights = [0, 0.1, 0.5, 0.9, 1];
const cases = [
  ...divergenceNames.map((of) => [of, 0.5] as const),
  ...weights.map((weight) => ['jensenShannon', weight] as const),
];
const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 2, 'float32', seed);

/** By its formula as it stands in a book, with TRL's limits. */
function byBook(of: DivergenceName, weight: number, policy: tf.Tensor, reference: tf.Tensor): tf.Tensor {
  const [p, q] = [tf.logSoftmax(policy), tf.logSoftmax(reference)];
  const kl = (a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(tf.exp(a), tf.sub(a, b)), -1);
  if (of === 'kl' || (of === 'jensenShannon' && weight === 1)) return kl(p, q);
  if (of === 'referenceKl' || weight === 0) return kl(q, p);
  const m = tf.log(tf.add(tf.mul(tf.exp(q), weight), tf.mul(tf.exp(p), 1 - weight)));
  return tf.add(tf.mul(kl(q, m), weight), tf.mul(kl(p, m), 1 - weight));
}

describe.each(engines)('on %s, a divergence', (engine) => {
  beforeAll(async () => {
    await openEngine(engine);
  });

  test.each(cases)('%s with weight %d has the value and the gradients of its formula', (of, weight) => {
    const [logits, other] = [random([2, 3, 7], 1), random([2, 3, 7], 2)];
    const [states, head] = [random([5, 4], 3), random([7, 4], 4)];
    const reference = { states: random([5, 2], 5), headWeight: random([7, 2], 6) };
    const logitsOf = (s: tf.Tensor, h: tf.Tensor) => tf.matMul(s as tf.Tensor2D, h as tf.Tensor2D, false, true);
    const options = { of, weight };
    const pairs: [tf.Tensor[], (...x: tf.Tensor[]) => tf.Tensor, (...x: tf.Tensor[]) => tf.Tensor][] = [
      [
        [logits],
        (x) => exactDivergence(x as tf.Tensor, other, options),
        (x) => byBook(of, weight, x as tf.Tensor, other),
      ],
      [
        [states, head],
        (s, h) => exactDivergence({ states: s as tf.Tensor, headWeight: h as tf.Tensor }, reference, options),
        (s, h) =>
          byBook(
            of,
            weight,
            logitsOf(s as tf.Tensor, h as tf.Tensor),
            logitsOf(reference.states, reference.headWeight),
          ),
      ],
    ];
    for (const [inputs, ours, theirs] of pairs) {
      const dy = random(theirs(...inputs).shape, 7);
      const [a, b] = [ours, theirs].map((f) => {
        const { value, grads } = tf.engine().gradients(() => f(...inputs), inputs, dy);
        return [value, ...grads].map((each) => ({ shape: each.shape, values: Array.from(each.dataSync()) }));
      });
      a?.forEach(({ shape, values }, at) => {
        expect(shape).toEqual(b?.[at]?.shape);
        values.forEach((value, index) => {
          expect(value).toBeCloseTo(b?.[at]?.values[index] as number, 4);
        });
      });
    }
  });

  test('changes along its gradient as that says', () => {
    const [logits, other, direction] = [random([3, 5], 1), random([3, 5], 2), random([3, 5], 3)];
    for (const of of divergenceNames) {
      const total = (x: tf.Tensor) => tf.sum(exactDivergence(x, other, { of })) as tf.Scalar;
      const slope = scalar(tf.sum(tf.mul(tf.grad(total)(logits), direction)));
      const moved = (by: number) => scalar(total(tf.add(logits, tf.mul(direction, by))));
      expect((moved(1e-2) - moved(-1e-2)) / 2e-2).toBeCloseTo(slope, 2);
    }
  });
});

describe('divergences', () => {
  beforeAll(async () => {
    await openEngine('cpu');
  });
  const logit = fc.double({ min: -60, max: 60, noNaN: true });
  const rows = fc
    .integer({ min: 1, max: 6 })
    .chain((words) => fc.tuple(...[0, 1].map(() => fc.array(logit, { minLength: words, maxLength: words }))));

  test('are finite, never negative, 0 for equal logits; Jensen-Shannon is at most log 2, and symmetric', () => {
    fc.assert(
      fc.property(rows, ([p, q]) => {
        const found = (of: DivergenceName, a = p, b = q) =>
          scalar(exactDivergence(tf.tensor2d([a as number[]]), tf.tensor2d([b as number[]]), { of }));
        for (const of of divergenceNames) {
          expect(found(of)).toBeGreaterThanOrEqual(-1e-5);
          expect(found(of)).toBeLessThan(Infinity);
          expect(found(of, p, p)).toBe(0);
        }
        expect(found('jensenShannon')).toBeLessThanOrEqual(Math.LN2 + 1e-5);
        expect(found('jensenShannon', q, p)).toBeCloseTo(found('jensenShannon'), 4);
        expect(found('referenceKl')).toBeCloseTo(found('kl', q, p), 4);
      }),
      { numRuns: 50 },
    );
  });

  test('are refused between vocabularies that differ', () => {
    expect(() => exactDivergence(tf.ones([2, 3]), tf.ones([2, 4]))).toThrow(
      expect.objectContaining({ code: 'KL_VOCABULARIES' }),
    );
  });
});

const ifInstalled = readInstalled() === undefined ? test.skip : test;
ifInstalled('nothing of the size of all logits is made, forward or backward', async () => {
  await openEngine('native');
  const [tokens, vocabulary] = [300, 2 ** 15]; // two chunks
  const [states, headWeight] = [random([tokens, 3], 1), random([vocabulary, 3], 2)];
  const reference = { states: random([tokens, 2], 3), headWeight: random([vocabulary, 2], 4) };
  const before = tf.memory().numTensors;
  const { kernels } = await tf.profile(() => {
    const { value, grads } = tf
      .engine()
      .gradients(() => tf.sum(exactDivergence({ states, headWeight }, reference)), [states, headWeight]);
    tf.dispose([value, ...grads]);
    return tf.scalar(0);
  });
  const sizes = kernels.flatMap(({ outputShapes }) => outputShapes.map((shape) => tf.util.sizeFromShape(shape)));
  expect(Math.max(...sizes)).toBeGreaterThan(2 ** 22);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(2 ** 23);
  expect(tf.memory().numTensors).toBeLessThanOrEqual(before + 1);
});
