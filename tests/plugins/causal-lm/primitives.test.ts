import { beforeAll, describe, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openEngine } from '../../../core/engine/engine.ts';
import { activations } from '../../../plugins/causal-lm/activations.ts';
import { type AttentionSetting, attention } from '../../../plugins/causal-lm/primitives/attention.ts';
import { activate, gated } from '../../../plugins/causal-lm/primitives/feed-forward.ts';
import { layerNormalize, rmsNormalize } from '../../../plugins/causal-lm/primitives/norm.ts';
import { expectSame, type Formula, random } from './gradients.ts';

// every hand-written gradient against what tfjs derives from the same formula in plain operations

beforeAll(async () => {
  await openEngine('native');
});

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
