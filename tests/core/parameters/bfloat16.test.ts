import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { engineNames, openEngine } from '../../../core/engine/engine.ts';
import { packBfloat16, packedShape, takeWidenedRows, widen } from '../../../core/parameters/bfloat16.ts';
import { toBfloat16 } from '../../../core/parameters/safetensors/dtype.ts';

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 });
// every bit pattern: subnormal, infinite and NaN among them
const numbers = shapes.chain((shape) => {
  const size = tf.util.sizeFromShape(shape);
  const bits = fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { minLength: size, maxLength: size });
  return bits.map((words) => ({ shape, values: new Float32Array(Int32Array.from(words).buffer) }));
});

const bitsOf = (values: ArrayLike<number>) => Array.from(new Uint32Array(Float32Array.from(values).buffer));
const rounded = (values: Float32Array) => {
  const bits = Uint32Array.from(toBfloat16(values), (half) => half << 16);
  return new Float32Array(bits.buffer);
};

describe.each(engineNames)('bfloat16 on %s', (name) => {
  beforeEach(() => openEngine(name));

  test('widening gives every number back as it was rounded, whatever the shape', () => {
    fc.assert(
      fc.property(numbers, ({ shape, values }) => {
        const before = tf.memory().numTensors;
        const value = tf.tensor(values, shape, 'float32');
        const packed = packBfloat16(value);
        expect(packed.shape).toEqual(packedShape(shape));
        const widened = widen(packed, shape);
        expect(widened.shape).toEqual(shape);
        expect(bitsOf(widened.dataSync())).toEqual(bitsOf(rounded(values)));
        tf.dispose([value, packed, widened]);
        expect(tf.memory().numTensors).toBe(before);
      }),
    );
  });

  test('rows that are taken are those of the widened matrix', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.array(fc.nat(), { minLength: 1, maxLength: 9 }), (rows, picks) => {
        const before = tf.memory().numTensors;
        tf.tidy(() => {
          const matrix = tf.mul(tf.range(0, 3 * rows), 0.37).reshape([rows, 3]);
          const packed = packBfloat16(matrix);
          const ids = tf.tensor1d(
            picks.map((pick) => pick % rows),
            'int32',
          );
          const taken = takeWidenedRows(packed, ids).dataSync();
          expect(taken).toEqual(tf.gather(widen(packed, [rows, 3]), ids).dataSync());
        });
        expect(tf.memory().numTensors).toBe(before);
      }),
    );
  });
});
