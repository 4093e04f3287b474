import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openEngine } from '../../../core/engine/engine.ts';
import { activations } from '../../../plugins/causal-lm/activations.ts';
import { type AttentionSetting, attention } from '../../../plugins/causal-lm/primitives/attention.ts';
import { activate, gated } from '../../../plugins/causal-lm/primitives/feed-forward.ts';
import { logProbabilities, tokenFigures } from '../../../plugins/causal-lm/primitives/log-probabilities.ts';
import { layerNormalize, rmsNormalize } from '../../../plugins/causal-lm/primitives/norm.ts';

// every hand-written gradient against what tfjs derives from the same formula in plain operations

beforeAll(async () => {
  await openEngine('native');
});

type Formula = (...inputs: tf.Tensor[]) => tf.Tensor;

/** Values and gradients of both agree within float32 rounding; a fixed random `dy` weighs every element differently. */
function expectSame(primitive: Formula, formula: Formula, inputs: tf.Tensor[]): void {
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

const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);

test('norms differentiate as their formulas do', () => {
  const scale = (x: tf.Tensor) => tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-3)));
  const inputs = [random([5, 6], 1)];
  expectSame((x) => rmsNormalize(x as tf.Tensor, 1e-3), scale as Formula, inputs);
  expectSame(
    (x) => layerNormalize(x as tf.Tensor, 1e-3),
    (x) => scale(tf.sub(x as tf.Tensor, tf.mean(x as tf.Tensor, -1, true))),
    inputs,
  );
});

const sigmoidLinear = (k: number) => (x: tf.Tensor) => tf.mul(x, tf.sigmoid(tf.mul(x, k)));
const geluTanh = (x: tf.Tensor) =>
  tf.mul(
    tf.mul(x, 0.5),
    tf.add(tf.tanh(tf.mul(tf.add(x, tf.mul(tf.mul(x, tf.square(x)), 0.044715)), Math.sqrt(2 / Math.PI))), 1),
  );
const formulas: Record<string, (x: tf.Tensor) => tf.Tensor> = {
  gelu: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1)),
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: sigmoidLinear(1.702),
  relu: (x) => tf.relu(x),
  silu: sigmoidLinear(1),
  swish: sigmoidLinear(1),
};

test.each(Object.entries(activations))('%s differentiates as its formula does, gated and plain', (name, activation) => {
  const formula = formulas[name] as (x: tf.Tensor) => tf.Tensor;
  const inputs = [random([4, 5], 2), random([4, 5], 3)];
  expectSame(
    (gate, up) => gated(gate as tf.Tensor, up as tf.Tensor, activation),
    (gate, up) => tf.mul(formula(gate as tf.Tensor), up as tf.Tensor),
    inputs,
  );
  expectSame((x) => activate(x as tf.Tensor, activation), formula as Formula, inputs.slice(0, 1));
});

describe('attention', () => {
  const [batch, time, heads, keyValueHeads, headSize] = [2, 3, 4, 2, 4] as const;
  const inputs = () => [
    random([batch * time, heads * headSize], 4),
    random([batch * time, keyValueHeads * headSize], 5),
    random([batch * time, keyValueHeads * headSize], 6),
  ];
  const causal = () => tf.tensor([0, -1e9, -1e9, 0, 0, -1e9, 0, 0, 0], [1, 1, time, time]);

  /** One head after another, rotation written out. */
  function plain(setting: AttentionSetting): Formula {
    const { rotary, mask, scale, dropout } = setting;
    const headOf = (x: tf.Tensor, head: number) =>
      tf.slice(tf.reshape(x, [batch, time, -1, headSize]), [0, 0, head, 0], [batch, time, 1, headSize]);
    const rotate = (x: tf.Tensor) => {
      if (rotary === undefined) return x;
      const [a, b] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
      return tf.add(tf.mul(x, rotary.cos), tf.mul(tf.concat([b, a], -1), rotary.sin));
    };
    return (query, key, value) => {
      const contexts = Array.from({ length: heads }, (_, head) => {
        const shared = Math.floor((head * keyValueHeads) / heads);
        const of = (x: tf.Tensor | undefined, at: number) =>
          tf.reshape(headOf(x as tf.Tensor, at), [batch, 1, time, headSize]);
        const scores = tf.mul(tf.matMul(rotate(of(query, head)), rotate(of(key, shared)), false, true), scale);
        const weights = tf.softmax(tf.add(scores, mask));
        const kept = dropout === undefined ? weights : tf.mul(weights, tf.slice(dropout, [0, head], [batch, 1]));
        return tf.reshape(tf.matMul(kept, of(value, shared)), [batch * time, headSize]);
      });
      return tf.concat(contexts, 1);
    };
  }

  const settings: Record<string, () => Partial<AttentionSetting>> = {
    'with learned positions': () => ({ scale: 0.5 }),
    'with rotary positions': () => ({
      rotary: { cos: random([1, 1, time, headSize], 7), sin: random([1, 1, time, headSize], 8) },
    }),
    'with dropout': () => ({ dropout: tf.relu(random([batch, heads, time, time], 9)) }),
  };
  test.each(Object.entries(settings))('differentiates as its formula does %s', (_, more) => {
    const setting = { batch, time, heads, keyValueHeads, headSize, scale: 1, mask: causal(), ...more() };
    // rotations by random tables do not undo themselves, so only their transpose is right in the gradient
    expectSame(
      (q, k, v) => attention(q as tf.Tensor, k as tf.Tensor, v as tf.Tensor, setting),
      plain(setting),
      inputs(),
    );
  });
});

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
      const { logps } = tf.tidy(() => tokenFigures(prediction, ['logps']));
      return logProbabilities(prediction, logps as tf.Tensor, { isWeightFrozen });
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
    const figures = tokenFigures(prediction, ['logps', 'correct']);
    const rowsAlone = [0, 1, 2, 3].map((row) => {
      const one = { ...prediction, hidden: tf.slice(hidden, [row], [1]), label: tf.slice(label(), [row], [1]) };
      return (tokenFigures(one, ['logps']).logps as tf.Tensor).dataSync()[0] as number;
    });
    expect(Array.from(figures.logps?.dataSync() ?? [])).toEqual(rowsAlone);
    const gradients = (some: tf.Tensor) =>
      tf
        .grads((x, w) =>
          logProbabilities({ hidden: x as tf.Tensor, weight: w as tf.Tensor, label: label() }, tf.zeros([4]), {
            isWeightFrozen: false,
          }),
        )([hidden, some], dy)
        .map((each) => each.dataSync());
    const [dHidden, dWeight] = gradients(wide) as [Float32Array, Float32Array];
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
    const figures = tokenFigures(prediction, ['logps', 'entropy', 'logits', 'correct', 'collision', 'scores']);
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
