import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { copyInto } from '../../../core/engine/copy-into.ts';
import { type EngineName, openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';

const engines: EngineName[] = readInstalled() === undefined ? ['wasm', 'cpu'] : ['native', 'wasm', 'cpu'];

describe.each(engines)('copies into memory on %s', (engine) => {
  let tensor: tf.Tensor;
  beforeAll(async () => {
    await openEngine(engine);
    tensor = tf.tensor2d([1, -0, 3.5, Number.NaN, Number.POSITIVE_INFINITY, 6], [2, 3]);
  });
  afterAll(() => tensor.dispose());

  test.each([
    ['that TensorFlow can use as it lies', growing(4096), 64],
    ['that begins between its cache lines', growing(4096), 68],
    ['of JavaScript', new ArrayBuffer(4096), 64],
    ['of JavaScript that is shared', new SharedArrayBuffer(4096), 0],
  ])('%s, and to nothing beside it', (_, memory, begin) => {
    const before = tf.memory().numTensors;
    const around = new Float32Array(memory).fill(9);
    copyInto(tensor, new Float32Array(memory, begin, 6));
    const expected = new Float32Array(memory.byteLength / 4).fill(9);
    expected.set([1, -0, 3.5, Number.NaN, Number.POSITIVE_INFINITY, 6], begin / 4);
    expect(around).toEqual(expected);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('nothing at all, where there is nothing', () => copyInto(tf.tensor1d([]), new Float32Array(0)));
});

const onNative = engines.includes('native') ? test : test.skip;
onNative('TensorFlow writes by itself where it can, and JavaScript reads nothing', async () => {
  await openEngine('native');
  const tensor = tf.tensor1d([1, 2, 3]);
  tensor.dataSync = () => {
    throw new Error('read');
  };
  const target = new Float32Array(growing(4096), 128, 3);
  copyInto(tensor, target);
  expect([...target]).toEqual([1, 2, 3]);
  expect(() => copyInto(tensor, new Float32Array(growing(4096), 4, 3))).toThrow('read');
});

function growing(bytes: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(0, { maxByteLength: 2 * bytes });
  memory.grow(bytes);
  return memory;
}
