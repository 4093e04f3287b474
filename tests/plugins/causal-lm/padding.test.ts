import { expect, test } from '@jest/globals';
import type { Rows } from 'mooring';
import { packBranches, packRows, rowsOf } from 'mooring';
import { fixture, type Opened, passOf, withModel } from './support.ts';

const logpsOf = async ({ driver }: Opened, rows: Rows) => {
  const { logps } = await driver.forward(passOf(rows, ['logps']));
  return Array.from((await logps?.data()) as Float32Array);
};

test('a single row gives the same, padded on the left or not at all', async () => {
  await withModel(fixture('gpt2'), 'cpu', async (opened) => {
    const plain = packRows([{ ids: [5, 6, 7], completionStart: 0 }]);
    const ids = Int32Array.from([0, 0, 5, 6, 7]);
    const padded = rowsOf({ batch: 1, time: 5, ids, mask: Int32Array.from([0, 0, 1, 1, 1]) });
    const expected = await logpsOf(opened, plain);
    for (const [at, logp] of (await logpsOf(opened, padded)).entries())
      expect(logp).toBeCloseTo(expected[at] as number, 5);
  });
});

test('learned positions are refused where a sequence is too long, not where its padding is', async () => {
  const sequence = (prompt: number, completion: number) => ({
    ids: new Array<number>(prompt + completion).fill(5),
    completionStart: prompt,
  });
  await withModel(fixture('gpt2'), 'wasm', async (opened) => {
    // 256 positions: each sequence has 201 tokens, its row 200 + 2 * 200 positions
    const sides = [sequence(200, 1), sequence(1, 200)];
    expect(await logpsOf(opened, packBranches([sides, sides]))).toHaveLength(2 * 201);
    const long = [sequence(200, 57)];
    await expect(logpsOf(opened, packBranches([long, long]))).rejects.toMatchObject({
      code: 'MODEL_SEQUENCE_TOO_LONG',
      message: expect.stringContaining('257'),
    });
  });
});
