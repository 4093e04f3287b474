import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../../core/engine/compile/compile.ts';
import { openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { tokenFigures } from '../../../plugins/causal-lm/primitives/log-probabilities.ts';
import { openNative, specsOf, type TensorFunction, type Tensors } from '../../core/engine/compile/support.ts';

// 256 tokens to a chunk: 600 make three
const [tokens, vocabulary, width] = [600, 2 ** 15, 3];

type Name = 'hidden' | 'weight' | 'otherHidden' | 'otherWeight';

const divergence: TensorFunction<Name> = ({ hidden, weight, otherHidden, otherWeight }) => {
  const label = tf.zeros([tokens], 'int32');
  const prediction = { hidden, weight, label, reference: { hidden: otherHidden, weight: otherWeight } };
  const purpose = { names: ['kl'], needsValue: true, differentiated: [], isWeightFrozen: false } as const;
  return [tokenFigures(prediction, purpose).kl as tf.Tensor];
};

const ways: Record<string, (inputs: Tensors<Name>) => Promise<tf.Tensor>> = {
  async wasm(inputs) {
    return divergence(inputs)[0] as tf.Tensor;
  },
};
if (readInstalled() !== undefined) {
  ways.native = ways.wasm as (typeof ways)[string];
  ways.compiled = async (inputs) => {
    const { compiler } = await openNative();
    return compile(compiler, specsOf(inputs), divergence)(inputs)[0] as tf.Tensor;
  };
}

/** Two models whose hidden states and heads differ by normal noise of the given size. */
function models(difference: number): Record<Name, tf.Tensor> {
  const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);
  const near = (x: tf.Tensor, seed: number) => tf.tidy(() => tf.add(x, tf.mul(normal(x.shape, seed), difference)));
  const [hidden, weight] = [normal([tokens, width], 1), normal([vocabulary, width], 2)];
  return { hidden, weight, otherHidden: near(hidden, 3), otherWeight: near(weight, 4) };
}

/** Log-softmax of a token's logits, in double precision. */
function logSoftmax(hidden: Float32Array, weight: Float32Array): Float64Array {
  const dot = (word: number) => hidden.reduce((sum, x, at) => sum + x * (weight[word * width + at] as number), 0);
  const logits = Float64Array.from({ length: vocabulary }, (_, word) => dot(word));
  const normalizer = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return logits.map((logit) => logit - normalizer);
}

// wasm adds up a row from left to right, so its error grows with the vocabulary
const cases = Object.keys(ways).flatMap((way) => [
  [way, 0, 0] as const,
  [way, 1e-3, 1e-7] as const,
  [way, 1, way === 'wasm' ? 1e-4 : 1e-5] as const,
]);

test.each(cases)(
  'in several chunks, %s: KL(policy || reference) of models that differ by %d is that of its formula, within %d',
  async (way, difference, bound) => {
    await openEngine(way === 'wasm' ? 'wasm' : 'native');
    const inputs = models(difference);
    const before = tf.memory().numTensors;
    const found = await (ways[way] as (typeof ways)[string])(inputs);
    const divergences = found.dataSync();
    found.dispose();
    expect(divergences).toHaveLength(tokens);
    expect(tf.memory().numTensors).toBeLessThanOrEqual(before + 1); // the labels
    const values = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, tensor.dataSync()]));
    tf.dispose(Object.values(inputs));
    const softmaxOf = (hidden: Name, weight: Name, token: number) =>
      logSoftmax(
        values[hidden]?.subarray(token * width, (token + 1) * width) as Float32Array,
        values[weight] as Float32Array,
      );
    for (let token = 0; token < tokens; token += 97) {
      const p = softmaxOf('hidden', 'weight', token);
      const q = softmaxOf('otherHidden', 'otherWeight', token);
      const wanted = p.reduce((sum, each, word) => sum + Math.exp(each) * (each - (q[word] as number)), 0);
      expect(Math.abs((divergences[token] as number) - wanted)).toBeLessThanOrEqual(bound);
    }
    expect(Math.min(...divergences)).toBeGreaterThanOrEqual(-1e-7);
  },
);
