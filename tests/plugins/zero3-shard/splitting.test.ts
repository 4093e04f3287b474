import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { alone, type Collectives, Driver, ParameterStore, type Pass, type Rows } from 'mooring';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { splitDriver } from '../../../plugins/zero3-shard/split/split-driver.ts';
import { rowsOfRank, splitRows } from '../../../plugins/zero3-shard/split/split-rows.ts';
import { anyRows, distance, splitting, valuesOf } from './support.ts';

const anyRanks = fc.integer({ min: 1, max: 7 });

test('ranks get rows that stand together, in their order, none twice and none left out, and as many as the others or one less', () => {
  fc.assert(
    fc.property(fc.nat(40), anyRanks, (batch, ranks) => {
      const parts = Array.from({ length: ranks }, (_, rank) => rowsOfRank(batch, rank, ranks));
      expect(parts.flatMap(({ begin, end }) => Array.from({ length: end - begin }, (_, at) => begin + at))).toEqual([
        ...Array(batch).keys(),
      ]);
      const sizes = parts.map(({ begin, end }) => end - begin);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  );
});

test('the targets of all parts are those of all rows, and each part has tokens, labels and dropout of its rows', () => {
  fc.assert(
    fc.property(anyRows, anyRanks, (rows, ranks) => {
      const splits = Array.from({ length: ranks }, (_, rank) => splitRows(rows, rank, ranks));
      const answered = splits.filter(({ isStandIn }) => !isStandIn);
      expect(answered.flatMap(({ targets }) => [...targets])).toEqual([...(splits[0]?.order ?? [])]);
      expect([...(splits[0]?.order ?? [])].sort((a, b) => a - b)).toEqual([...rows.targets.label.keys()]);
      for (const [rank, { part, targets, isStandIn, counts }] of splits.entries()) {
        expect(counts).toEqual(splits.map((split) => (split.isStandIn ? 0 : split.targets.length)));
        const first = isStandIn ? 0 : rowsOfRank(rows.batch, rank, ranks).begin;
        expect({ time: part.time, fork: part.fork, firstRow: part.firstRow, ids: [...part.ids] }).toEqual({
          time: rows.time,
          fork: rows.fork,
          firstRow: rows.firstRow + first,
          ids: [...rows.ids.subarray(first * rows.time, (first + part.batch) * rows.time)],
        });
        for (const name of ['label', 'row', 'position'] as const)
          expect([...part.targets[name]]).toEqual(Array.from(targets, (target) => rows.targets[name][target]));
        expect(Array.from(part.targets.source, (at) => at + first * rows.time)).toEqual(
          Array.from(targets, (target) => rows.targets.source[target]),
        );
      }
    }),
  );
});

test('every rank gets the outputs of all rows, and what ranks add to the gradients is together what one rank has', async () => {
  await fc.assert(
    fc.asyncProperty(anyRows, anyRanks, async (rows, ranks) => {
      const [whole] = await inRanks(1, (collectives) => passOver(rows, collectives));
      const parts = await inRanks(ranks, (collectives) => passOver(rows, collectives));
      for (const { logps, gradients } of parts) {
        expect(logps).toEqual(whole?.logps);
        for (const [name, values] of Object.entries(whole?.gradients ?? {}))
          expect(distance(values, gradients[name] ?? [])).toBeLessThan(1e-6);
      }
    }),
    { numRuns: 30 },
  );
});

test('a rank that is alone has the driver that it had', async () => {
  const { trainer } = toyRun();
  await trainer.withServices({ driver: Driver }, async ({ driver }) => {
    expect(splitDriver(driver, alone)).toBe(driver);
  });
});

test('shapes to compile for are those of the rows that a rank runs', async () => {
  const [rows] = fc.sample(
    anyRows.filter(({ batch }) => batch === 3),
    { numRuns: 1, seed: 1 },
  ) as [Rows];
  const sizes = await inRanks(2, (collectives) =>
    toyRun().trainer.withServices({ driver: Driver }, async ({ driver }) => {
      const seen: Rows[] = [];
      const prepare: Driver['prepare'] = async ({ sample }) => void seen.push(...(await sample()).flat());
      const inner: Driver = Object.assign(Object.create(driver), { prepare });
      await splitDriver(inner, collectives).prepare?.({ steps: 1, sample: async () => [[rows], [rows, rows]] });
      return seen.map(({ batch }) => batch);
    }),
  );
  expect(sizes).toEqual([
    [1, 1, 1],
    [2, 2, 2],
  ]);
});

/** Outputs of a pass of the toy model, and the sums over the ranks of the gradients of its parameters. */
function passOver(rows: Rows, collectives: Collectives) {
  const { trainer } = toyRun([splitting(collectives), givenRanks(collectives)]);
  return trainer.withServices({ driver: Driver, store: ParameterStore }, async ({ driver, store }) => {
    const pass: Pass = { key: 'policy', view: 'policy', rows, outputs: ['logps'], gradient: true };
    const outputs = await driver.forward(pass);
    const { logps } = await valuesOf(outputs);
    await driver.backward(pass, { logps: tf.tensor1d(Float32Array.from(logps ?? [], (_, at) => Math.sin(at))) });
    const gradients: Record<string, number[]> = {};
    for (const name of store.names) {
      const gradient = store.gradients.names.includes(name)
        ? store.gradients.read(name)
        : tf.zeros([...store.spec(name).shape]);
      gradients[name] = [...(await collectives.allReduce(await gradient.data<'float32'>(), 'sum', name))];
      gradient.dispose();
    }
    tf.dispose(Object.values(outputs));
    driver.release();
    return { logps, gradients };
  });
}
