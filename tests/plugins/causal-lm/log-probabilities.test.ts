import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openEngine } from '../../../core/engine/engine.ts';
import {
  type FigurePurpose,
  type Prediction,
  tokenFigures,
} from '../../../plugins/causal-lm/primitives/log-probabilities.ts';
import { expectSame, type Formula, random } from './gradients.ts';

beforeAll(async () => {
  await openEngine('native');
});

/** As in a forward pass whose gradient does not follow, unless told otherwise. */
const figuresOf = (prediction: Prediction, names: FigurePurpose['names'], purpose: Partial<FigurePurpose> = {}) =>
  tokenFigures(prediction, { names, needsValue: true, differentiated: [], isWeightFrozen: false, ...purpose });

describe('log-probabilities', () => {
  const label = () => tf.tensor1d([2, 0, 4, 2], 'int32');
  const inputs = (): [tf.Tensor, tf.Tensor] => [random([4, 3], 12), random([5, 3], 13)];
  const formula: Formula = (hidden, weight) =>
    tf.sum(
      tf.mul(
        tf.logSoftmax(tf.matMul(hidden as tf.Tensor, weight as tf.Tensor, false, true)),
        tf.oneHot(label(), weight?.shape[0] as number),
      ),
      -1,
    );
  const primitive =
    (isWeightFrozen: boolean): Formula =>
    (hidden, weight) => {
      const prediction = { hidden: hidden as tf.Tensor, weight: weight as tf.Tensor, label: label() };
      return figuresOf(prediction, ['logps'], { differentiated: ['logps'], isWeightFrozen }).logps as tf.Tensor;
    };

  test('differentiate as their formula does, the weight frozen or not', () => {
    const [hidden, weight] = inputs();
    expectSame(primitive(false), formula, [hidden, weight]);
    expectSame(
      (x) => primitive(true)(x as tf.Tensor, weight),
      (x) => formula(x as tf.Tensor, weight),
      [hidden],
    );
  });

  test('are the same in several chunks, with their gradients', () => {
    // 2^22 tokens of vocabulary leave two rows to a chunk: four rows make two chunks
    const [hidden, weight] = inputs();
    const wide = tf.pad(weight, [
      [0, 2 ** 22 - 5],
      [0, 0],
    ]);
    const dy = tf.tensor1d([1, -2, 3, 0.5]);
    const prediction = { hidden, weight: wide, label: label() };
    const figures = figuresOf(prediction, ['logps', 'correct']);
    const rowsAlone = [0, 1, 2, 3].map((row) => {
      const one = { ...prediction, hidden: tf.slice(hidden, [row], [1]), label: tf.slice(label(), [row], [1]) };
      return (figuresOf(one, ['logps']).logps as tf.Tensor).dataSync()[0] as number;
    });
    expect(Array.from(figures.logps?.dataSync() ?? [])).toEqual(rowsAlone);
    const gradients = (needsValue: boolean) =>
      tf
        .grads((x, w) => {
          const made = { hidden: x as tf.Tensor, weight: w as tf.Tensor, label: label() };
          return figuresOf(made, ['logps'], { differentiated: ['logps'], needsValue }).logps as tf.Tensor;
        })([hidden, wide], dy)
        .map((each) => each.dataSync());
    const [dHidden, dWeight] = gradients(true) as [Float32Array, Float32Array];
    const [madeAnew] = gradients(false) as [Float32Array];
    for (const [at, value] of madeAnew.entries()) expect(dHidden[at]).toBeCloseTo(value, 4);
    // the padding's logits are 0: a vocabulary of 5 and a sixth word that stands for all of it
    const extra = Math.log(2 ** 22 - 5);
    const small = tf.grads((x, w) => {
      const logits = tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D, false, true);
      const all = tf.concat([logits, tf.fill([4, 1], extra)], 1);
      return tf.sum(tf.mul(tf.logSoftmax(all), tf.oneHot(label(), 6)), -1);
    })([hidden, weight], dy);
    for (const [at, value] of (small[0] as tf.Tensor).dataSync().entries()) expect(dHidden[at]).toBeCloseTo(value, 4);
    for (const [at, value] of (small[1] as tf.Tensor).dataSync().entries()) expect(dWeight[at]).toBeCloseTo(value, 4);
  });

  test('come with entropy, mean logit, hit and collision of the prediction', () => {
    // logits [0, ln 2, ln 5]: probabilities 1/8, 2/8 and 5/8
    const weight = tf.tensor2d([[0], [Math.log(2)], [Math.log(5)]]);
    const prediction = { hidden: tf.ones([2, 1]), weight, label: tf.tensor1d([2, 1], 'int32') };
    const names = ['logps', 'entropy', 'logits', 'correct', 'collision', 'scores'] as const;
    const purposes: Partial<FigurePurpose>[] = [{}, { differentiated: ['logps'] }];
    const [figures, differentiable] = purposes.map((purpose) => figuresOf(prediction, names, purpose)) as [
      ReturnType<typeof figuresOf>,
      ReturnType<typeof figuresOf>,
    ];
    for (const name of names) {
      for (const [at, value] of (differentiable[name] as tf.Tensor).dataSync().entries()) {
        expect(value).toBeCloseTo(figures[name]?.dataSync()[at] as number, 5);
      }
    }
    const read = (name: keyof typeof figures) => Array.from(figures[name]?.dataSync() ?? []);
    const entropy = -(Math.log(1 / 8) / 8 + Math.log(2 / 8) / 4 + (5 * Math.log(5 / 8)) / 8);
    const collision = Math.log((1 + 4 + 25) / 64);
    expect(read('correct')).toEqual([1, 0]);
    for (const [name, wanted] of [
      ['logps', [Math.log(5 / 8), Math.log(2 / 8)]],
      ['entropy', [entropy, entropy]],
      ['logits', [Math.log(10) / 3, Math.log(10) / 3]],
      ['collision', [collision, collision]],
      ['scores', [0, Math.log(2), Math.log(5), 0, Math.log(2), Math.log(5)]],
    ] as const) {
      read(name).forEach((value, at) => {
        expect(value).toBeCloseTo(wanted[at] as number, 5);
      });
    }
  });
});
