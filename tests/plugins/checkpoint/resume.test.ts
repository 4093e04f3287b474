import { readdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { toyRun } from 'mooring/testing';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';
import { asBits, type Cell, folder, resumed, uninterrupted } from './support.ts';

const whereNative = readInstalled() === undefined ? describe.skip : describe;

const references = {
  'no reference': () => [],
  'a clone': () => [refClone()],
  'a clone that is copied': () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 1 })],
  'a clone that is averaged': () => [
    refClone(),
    syncRefModel({ everySteps: 2, bema: { everySteps: 1, updateAfter: 1 } }),
  ],
  'a clone that is mixed': () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 0.6 })],
};

const cells: Cell[] = Object.values(references).map((plugins) => ({ plugins, engine: 'cpu' }));

const mixed = cells.length - 1;

const bits: Record<number, unknown> = {};
beforeAll(async () => {
  for (const [at, cell] of cells.entries()) bits[at] = asBits(await uninterrupted(cell));
});

describe('a run that resumes is the uninterrupted one, bit for bit', () => {
  test.each(Object.keys(references).map((name, at) => [name, at] as const))('with %s', async (_, at) => {
    expect(asBits(await resumed(cells[at] as Cell, 3))).toEqual(bits[at]);
  });

  test.each([1, 2, 4])('from step %i, within an epoch, at the end of one, and after it', async (step) => {
    expect(asBits(await resumed(cells[mixed] as Cell, step))).toEqual(bits[mixed]);
  });
});

test('so it is on the wasm engine', async () => {
  const cell: Cell = { plugins: references['a clone that is mixed'], engine: 'wasm' };
  expect(asBits(await resumed(cell, 3))).toEqual(asBits(await uninterrupted(cell)));
});

whereNative('on the native engine', () => {
  test.each(['off', 'on'] as const)('so it is with compile: %s', async (compile) => {
    const cell: Cell = { plugins: references['a clone that is mixed'], engine: 'native', compile };
    expect(asBits(await resumed(cell, 3))).toEqual(asBits(await uninterrupted(cell)));
  });
});

whereNative('a run that is trained on', () => {
  test.each([
    ['on', true],
    ['off', false],
  ] as const)(
    'with compile: %s is warned where its batches may be padded to other lengths: %s',
    async (compile, isSaid) => {
      const output = folder();
      const run = (steps: number) =>
        toyRun([checkpoint()], { steps, schedule: 'constant', engine: 'native', compile }, output);
      await run(1).trainer.train();
      const { trainer, logged } = run(2);
      await trainer.train({ resume: true });
      const said = logged.some(({ message }) => /resume: steps was 1 and is 2: figures agree within/.test(message));
      expect(said).toBe(isSaid);
    },
  );
});

test('a reference that is as at the start is not stored, one that has moved is', async () => {
  const filesOf = async (cell: Cell, step: number) => {
    const { output } = await resumed(cell, step);
    return readdirSync(path.join(output, 'checkpoints', `step-${step}`));
  };
  expect(await filesOf(cells[1] as Cell, 3)).not.toContain('reference.safetensors');
  expect(await filesOf(cells[mixed] as Cell, 1)).not.toContain('reference.safetensors');
  expect(await filesOf(cells[mixed] as Cell, 3)).toContain('reference.safetensors');
});

test('saving and resuming leave no tensor behind', async () => {
  const cell = cells[3] as Cell;
  const { memory } = await import('@tensorflow/tfjs');
  await uninterrupted(cell);
  const before = memory().numTensors;
  await resumed(cell, 3);
  expect(memory().numTensors).toBe(before);
});
