import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Driver, ParameterStore, Reference } from 'mooring';
import { toyRun, watch } from 'mooring/testing';
import { failureOf, plugin } from './support.ts';

const folder = () => mkdtempSync(path.join(tmpdir(), 'mooring-run-'));
/** Writes `model/weights` at the end, as an exporter would. */
const exporter = plugin('exporter', ({ hooks }) => {
  hooks.export.tap(({ directory, run }) => {
    writeFileSync(path.join(directory, 'model'), `step ${run.step}`);
  });
});

describe('a loss that is not finite', () => {
  const poison = plugin('poison', ({ hooks }) => {
    hooks.lossTerms.tap(({ step }) =>
      step?.index === 3 ? { poison: { sum: tf.scalar(Number.NaN), per: 'row' } } : undefined,
    );
  });

  test('ends the run before the optimizer moves, names step and rows, and saves the last good weights', async () => {
    const output = folder();
    const values: number[][] = [];
    const spy = plugin(
      'spy',
      ({ hooks, services }) => {
        const read = () => {
          const tensor = services.store.read('head.weight', 'policy');
          values.push(Array.from(tensor.dataSync()));
          tensor.dispose();
        };
        hooks.stepEnd.tap(read);
        hooks.failure.tap(read);
      },
      { store: ParameterStore },
    );
    const error = await failureOf(() => toyRun([poison, spy, exporter], { steps: 5 }, output).trainer.train());
    expect(error.code).toBe('NON_FINITE_LOSS');
    expect(error.message).toMatch(
      /At step 3 the loss is NaN, first in the rows toy batch 2\..*step 2 are saved in .*last-good/,
    );
    expect(values).toHaveLength(3); // after steps 1 and 2, and at the failure
    expect(values[2]).toEqual(values[1]);
    expect(readdirSync(path.join(output, 'last-good'))).toEqual(['model']);
    expect(existsSync(path.join(output, 'model'))).toBe(false);
  });

  test('a gradient that is not finite does the same', async () => {
    const wild = plugin('wild', ({ hooks }) => {
      hooks.gradient.tap((gradient) => gradient.mul(Number.POSITIVE_INFINITY));
    });
    const error = await failureOf(() => toyRun([wild]).trainer.train());
    expect(error.message).toMatch(/At step 1 the norm of the gradients is (NaN|Infinity)/);
  });
});

describe('the export', () => {
  test('takes its place whole, the old one gone and nothing else left', async () => {
    const output = folder();
    writeFileSync(path.join(output, 'model'), 'old');
    const { written } = await toyRun([exporter], { steps: 2 }, output).trainer.train();
    expect(written).toEqual([path.join(output, 'model')]);
    expect(readdirSync(output)).toEqual(['model']);
  });

  test('leaves the old one alone when it fails, and nothing half-written', async () => {
    const output = folder();
    writeFileSync(path.join(output, 'model'), 'old');
    const clumsy = plugin('clumsy', ({ hooks }) => {
      hooks.export.tap(({ directory }) => {
        writeFileSync(path.join(directory, 'model'), 'half');
        throw new TypeError('alpha');
      });
    });
    expect((await failureOf(() => toyRun([clumsy], {}, output).trainer.train())).place).toMatchObject({
      plugin: 'clumsy',
      hook: 'export',
    });
    expect(readdirSync(output)).toEqual(['model']);
  });
});

test('requestStop ends the run after the step in progress, and still exports', async () => {
  const output = folder();
  const stopper = plugin('stopper', ({ hooks }) => {
    let ask: (reason: string) => void;
    hooks.trainBegin.tap(({ run }) => {
      ask = (reason) => run.requestStop(reason);
    });
    hooks.stepBegin.tap(({ step }) => {
      if (step.index === 2) ask('enough');
    });
  });
  const result = await toyRun([stopper, exporter], { steps: 50 }, output).trainer.train();
  expect(result).toMatchObject({ steps: 2, stopReason: 'enough', written: [path.join(output, 'model')] });
});

test('a reference that is not the starting policy is found out before the first step', async () => {
  const { toy } = await import('mooring/testing');
  const off = plugin(
    'off',
    ({ provide }) => {
      provide(Reference, {
        uses: { driver: Driver },
        create: ({ driver }) => ({
          kind: 'clone',
          fingerprint: async () => 'f00d'.repeat(16),
          bytesResident: () => 0,
          async score(pass) {
            const { logps } = await driver.forward({ ...pass, view: 'policy' });
            return { logps: tf.tidy(() => (logps as tf.Tensor).sub(0.1)) };
          },
        }),
      });
    },
    {},
  );
  const watcher = watch();
  const error = await failureOf(() => toyRun([off, watcher.plugin]).trainer.train());
  expect(error.code).toBe('REFERENCE_DIFFERS');
  expect(error.message).toContain('clone');
  expect(watcher.hooks()).not.toContain('stepEnd');
  expect(toy.definition.name).toBe('toy');
});

test('after 200 steps there is not one tensor more than after 2', async () => {
  const counts: number[] = [];
  const counter = plugin('counter', ({ hooks }) => {
    hooks.stepEnd.tap(() => void counts.push(tf.memory().numTensors));
  });
  const before = tf.memory().numTensors;
  await toyRun([counter], { steps: 200 }).trainer.train();
  expect(counts[199]).toBe(counts[1]);
  expect(tf.memory().numTensors).toBe(before);
});

test('a plugin that leaks a tensor a step is blamed by name', async () => {
  const leaky = plugin('leaky', ({ hooks }) => {
    hooks.stepEnd.tap(() => void tf.zeros([25]));
  });
  let ledger: readonly { plugin: string; hook: string; tensors: number; bytes: number; calls: number }[] = [];
  const reader = plugin('reader', ({ hooks }) => {
    hooks.trainEnd.tap(({ run }) => {
      ledger = run.ledger();
    });
  });
  await toyRun([leaky, reader], { steps: 10 }).trainer.train();
  expect(ledger.find((entry) => entry.plugin === 'leaky')).toMatchObject({
    hook: 'stepEnd',
    calls: 10,
    tensors: 10,
    bytes: 1000,
  });
  expect(ledger.filter((entry) => entry.tensors > 0).map((entry) => entry.plugin)).toEqual(['leaky']);
});

test('a frozen parameter stays as it is, and nothing below the lowest trained block is differentiated', async () => {
  const visited: string[] = [];
  const seen: { gradients: readonly string[]; embedding: number[] }[] = [];
  const freeze = plugin(
    'freeze',
    ({ hooks, services }) => {
      hooks.modelDefined.tap(() => services.store.setTrainable('embedding.weight', false));
      hooks.beforeBackward.tap(({ block }) => void visited.push(block.name));
      hooks.gradientsReady.tap(({ gradients }) => {
        const tensor = services.store.read('embedding.weight', 'policy');
        seen.push({ gradients: gradients.names, embedding: Array.from(tensor.dataSync()) });
        tensor.dispose();
      });
    },
    { store: ParameterStore },
  );
  await toyRun([freeze], { steps: 3 }).trainer.train();
  expect(new Set(visited)).toEqual(new Set(['head']));
  expect(seen[0]?.gradients).toEqual(['head.weight', 'head.bias']);
  expect(seen[2]?.embedding).toEqual(seen[0]?.embedding);
});

test('withServices loads the model and trains nothing', async () => {
  const watcher = watch();
  const { trainer } = toyRun([watcher.plugin]);
  const shape = await trainer.withServices({ store: ParameterStore }, async ({ store }) => {
    const tensor = store.read('head.bias', 'policy');
    const { shape } = tensor;
    tensor.dispose();
    return shape;
  });
  expect(shape).toEqual([8]);
  expect(watcher.hooks()).toEqual(['configure', 'modelDefined', 'modelReady']);
});
