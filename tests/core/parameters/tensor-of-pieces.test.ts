import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { openSafetensors, tensorOfPieces, writeSafetensors } from 'mooring';
import { openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mooring-pieces-'));
afterAll(() => rmSync(folder, { recursive: true }));

const engines = [...(readInstalled() === undefined ? [] : (['native'] as const)), 'wasm', 'cpu'] as const;

describe.each(engines)('on %s, a tensor of pieces', (engine) => {
  beforeAll(async () => void (await openEngine(engine)));

  it('has the values in their order, though each piece is overwritten when the next comes, and leaves no other tensor', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(lengths, async (lengths) => {
      const size = lengths.reduce((sum, length) => sum + length, 0);
      const before = tf.memory().numTensors;
      const value = await tensorOfPieces([size, 1], overwritten(lengths));
      expect(tf.memory().numTensors - before).toBe(1);
      expect(value.shape).toEqual([size, 1]);
      expect(Array.from(value.dataSync())).toEqual(Array.from({ length: size }, (_, at) => at + 0.5));
      value.dispose();
    });
    await fc.assert(property, { numRuns: 20 });
  });

  it('may have no values at all', async () => {
    const value = await tensorOfPieces([0], overwritten([]));
    expect([value.shape, [...value.dataSync()]]).toEqual([[0], []]);
    value.dispose();
  });

  it('is let go where a piece cannot be read', async () => {
    const before = tf.memory().numTensors;
    async function* failing() {
      yield Float32Array.of(1, 2);
      throw new TypeError('no more');
    }
    await expect(tensorOfPieces([4], failing())).rejects.toThrow('no more');
    expect(tf.memory().numTensors).toBe(before);
  });
});

it.each(['F32', 'BF16', 'F16'] as const)('pieces of a file are what the whole is: %s', async (dtype) => {
  const file = path.join(folder, `${dtype}.safetensors`);
  const values = Float32Array.from({ length: 2 ** 20 + 77 }, (_, at) => (at % 251) - 125);
  const short = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' } as const;
  const specs = ['alpha', 'bravo'].map((name) => ({ name, shape: [values.length], dtype: short[dtype] }));
  await writeSafetensors(file, specs, () => values);
  const source = await openSafetensors(file);
  await source.prefetch(['bravo', 'alpha']);
  let count = 0;
  const read: number[] = [];
  for await (const piece of source.readPieces('bravo')) {
    count++;
    read.push(...piece.subarray(0, 3), ...piece.subarray(-3));
  }
  const whole = await source.readTensor('bravo');
  await source.close();
  expect(count).toBe(2);
  const ends = [whole.subarray(0, 2 ** 20), whole.subarray(2 ** 20)];
  expect(read).toEqual(ends.flatMap((part) => [...part.subarray(0, 3), ...part.subarray(-3)]));
  // element by element would take seconds
  expect(Buffer.compare(Buffer.from(whole.buffer), Buffer.from(values.buffer))).toBe(0);
});

it.each(['F32', 'BF16', 'F16'] as const)(
  'a range of a tensor is that part of the whole, wherever it begins: %s',
  async (dtype) => {
    const file = path.join(folder, `${dtype}-range.safetensors`);
    const short = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' } as const;
    const specs = ['alpha', 'bravo', 'charlie'].map((name, at) => ({ name, shape: [7 + 6 * at], dtype: short[dtype] }));
    const values = (name: string) =>
      Float32Array.from({ length: 19 }, (_, at) => name.length * (at - 9)).subarray(0, lengths[name]);
    const lengths: Record<string, number> = Object.fromEntries(
      specs.map(({ name, shape }) => [name, shape[0] as number]),
    );
    await writeSafetensors(file, specs, values);
    const source = await openSafetensors(file);
    const property = fc.asyncProperty(
      fc.constantFrom(...Object.keys(lengths)),
      fc.nat(),
      fc.nat(),
      async (name, one, other) => {
        const bound = (given: number) => given % ((lengths[name] as number) + 1);
        const [begin, end] = [Math.min(bound(one), bound(other)), Math.max(bound(one), bound(other))];
        await source.prefetch([name], () => ({ begin, end }));
        const read: number[] = [];
        for await (const piece of source.readPieces(name, { begin, end })) read.push(...piece);
        expect(read).toEqual([...values(name).subarray(begin, end)]);
      },
    );
    await fc.assert(property);
    await expect(source.readPieces('alpha', { begin: 5, end: 8 })[Symbol.asyncIterator]().next()).rejects.toMatchObject(
      { code: 'SAFETENSORS_RANGE' },
    );
    await source.close();
  },
);

/** The numbers 0.5, 1.5, ... in one buffer, used again for each piece. */
async function* overwritten(lengths: readonly number[]) {
  const buffer = new Float32Array(Math.max(0, ...lengths));
  let next = 0;
  for (const length of lengths) {
    for (let at = 0; at < length; at++) buffer[at] = next++ + 0.5;
    yield buffer.subarray(0, length);
    buffer.fill(-1);
  }
}
