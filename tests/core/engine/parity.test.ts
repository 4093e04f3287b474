import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineName, openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { type Input, type Operation, operations, shapes } from './operations.ts';

// cpu is the yardstick: plain loops that sum in double precision
const compared: EngineName[] = readInstalled() === undefined ? ['wasm'] : ['wasm', 'native'];

/**
 * Values are of order 1, float32 rounds at 6e-8, and the longest chain here is a few dozen operations deep, among them
 * approximations of tanh, exp and erf that are right to some 1e-6.
 */
const tolerance = 1e-5;

describe.each(compared)('%s computes what cpu computes', (engine) => {
  test.each(Object.entries(operations))('%s', async (_, operation) => {
    const expected = await evaluate('cpu', operation);
    const actual = await evaluate(engine, operation);
    expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
    for (const [index, { values }] of expected.entries()) expectClose(actual[index]?.values ?? [], values);
  });
});

interface Result {
  readonly shape: number[];
  readonly values: number[];
}

/** The value and the gradients by every input, of a weighted sum so that no output's gradient is like another's. */
async function evaluate(engine: EngineName, operation: Operation): Promise<Result[]> {
  await openEngine(engine);
  const results = tf.tidy(() => {
    const inputs = operation.inputs.map((name, index) => input(name, index));
    if (operation.hasGradient === false) return [operation.run(...inputs)];
    const weigh = (...xs: tf.Tensor[]) => {
      const y = operation.run(...xs);
      return y.mul(tf.linspace(-1, 1.3, y.size).reshape(y.shape)).sum();
    };
    return [operation.run(...inputs), ...tf.grads(weigh)(inputs)];
  });
  return results.map((tensor) => {
    const result = { shape: tensor.shape, values: Array.from(tensor.dataSync()) };
    tensor.dispose();
    return result;
  });
}

/** A fixed sequence without ties, in [-2, 2), or in [0.5, 2.5) where it must be positive. */
function input(name: Input, index: number): tf.Tensor {
  const shape = shapes[name];
  const unit = (position: number) => ((position + 1 + 100 * index) * 0.754877666) % 1;
  const value = (position: number) => (name === 'positive' ? 0.5 + 2 * unit(position) : 4 * unit(position) - 2);
  return tf.tensor(
    Float32Array.from({ length: tf.util.sizeFromShape(shape) }, (_, position) => value(position)),
    shape,
  );
}

function expectClose(actual: number[], expected: number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) {
    const difference = Math.abs((actual[index] as number) - value);
    expect({ index, difference, isClose: difference <= tolerance * Math.max(1, Math.abs(value)) }).toMatchObject({
      isClose: true,
    });
  }
}
