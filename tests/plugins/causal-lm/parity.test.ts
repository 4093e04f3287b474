import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  everyPosition,
  fixture,
  fixtureNames,
  passOf,
  readExpected,
  readFigures,
  rowsFrom,
  withModel,
} from './support.ts';

// what fixtures/README.md allows: wasm adds up in another order, and in narrower lanes
const engines = [
  { engine: 'cpu', tolerance: 2e-4 },
  { engine: 'wasm', tolerance: 5e-4 },
  { engine: 'native', tolerance: 2e-4 },
] as const;

describe.each(engines)('on $engine, a decoder', ({ engine, tolerance }) => {
  it.each(fixtureNames)('yields the logits of transformers, padded on either side: %s', async (name) => {
    const expected = await readExpected(fixture(name));
    const sides = expected.tensors.logits_left === undefined ? [''] : ['', '_left'];
    await withModel(fixture(name), engine, async ({ driver }) => {
      for (const side of sides) {
        const rows = rowsFrom(expected, side);
        const { scores } = await driver.forward(passOf(everyPosition(rows), ['scores']));
        const actual = (await scores?.data()) as Float32Array;
        const vocabulary = actual.length / rows.ids.length;
        const isReal = (_: number, at: number) => rows.mask[Math.floor(at / vocabulary)] === 1;
        const wanted = (expected.tensors[`logits${side}`] as Float32Array).filter(isReal);
        expect(largestDifference(actual.filter(isReal), wanted)).toBeLessThan(tolerance);
      }
    });
  });

  it.each(fixtureNames.filter((name) => name !== 'llama-bf16-sharded'))(
    'yields the log-probabilities, the loss and the norm of every gradient: %s',
    async (name) => {
      const expected = await readExpected(fixture(name));
      const figures = readFigures(fixture(name));
      await withModel(fixture(name), engine, async ({ driver, model, store }) => {
        const rows = rowsFrom(expected);
        const pass = passOf(rows, ['logps'], true);
        const { logps } = await driver.forward(pass);
        const actual = (await logps?.data()) as Float32Array;
        const { source } = rows.targets;
        const ends = Array.from(source, (at) => Math.floor(at / rows.time) * (rows.time - 1) + (at % rows.time));
        const wanted = ends.map((at) => expected.tensors.token_logps?.[at] as number);
        expect(largestDifference(actual, wanted)).toBeLessThan(tolerance);
        const nll = -actual.reduce((sum, each) => sum + each, 0) / actual.length;
        expect(Math.abs(nll - figures.nll_mean)).toBeLessThan(tolerance);

        await driver.backward(pass, { logps: tf.fill([actual.length], -1 / actual.length) });
        expect([...store.gradients.names].sort()).toEqual(Object.keys(figures.grad_norms).sort());
        for (const { name: parameter } of model.parameters) {
          const norm = tf.tidy(() => tf.norm(store.gradients.read(parameter)).dataSync()[0] as number);
          const wantedNorm = figures.grad_norms[parameter] as number;
          expect([parameter, Math.abs(norm / wantedNorm - 1) < 1e-3]).toEqual([parameter, true]);
        }
      });
    },
  );

  it.each(fixtureNames.filter((name) => name !== 'llama-bf16-sharded'))(
    'continues a prompt with the tokens of transformers: %s',
    async (name) => {
      const { greedy_from_first_6_tokens: tokens } = readFigures(fixture(name));
      const continued = await withModel(fixture(name), engine, ({ generator }) =>
        generator.generate([tokens.slice(0, 6)], { maxNewTokens: 16, ignoreEos: true }),
      );
      expect(continued).toEqual([tokens.slice(6)]);
    },
  );
});

function largestDifference(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(actual.length).toBe(wanted.length);
  const differences = Array.from(actual, (value, at) => Math.abs(value - (wanted[at] as number)));
  return differences.reduce((largest, each) => Math.max(largest, each), 0);
}
