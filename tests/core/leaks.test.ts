import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { hookNames } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from './support.ts';

/** Replaces what can be replaced by new tensors, and leaves the tensors on the way to the core. */
const busy = plugin('busy', ({ hooks }) => {
  hooks.modelDefined.tap(({ define }) => {
    define('head', 'scale', { name: 'busy.scale', shape: [], isDecayed: false }, tf.scalar(1));
  });
  hooks.readParameter.tap((value) => value.mul(2).div<tf.Tensor>(2));
  hooks.projection.tap((output, { name, read }) =>
    name === 'scores' ? output.mul<tf.Tensor>(read('scale')) : undefined,
  );
  hooks.lossTerms.tap(({ outputs }) => ({
    busy: { sum: (outputs.policy as { logps: tf.Tensor }).logps.square().sum().mul(0.1), per: 'token' },
  }));
  hooks.gradient.tap((gradient) => gradient.mul(2).div<tf.Tensor>(3));
  hooks.metrics.tap(({ outputs }) => ({
    busy: { value: (outputs.policy as { logps: tf.Tensor }).logps.exp().mean(), reduce: 'mean' },
  }));
  hooks.pass.tap(({ pass }) => {
    return pass.gradient ? undefined : { logps: tf.fill([pass.rows.targets.label.length], -1) };
  });
});

test('taps that replace tensors everywhere leave none behind, in training and evaluation', async () => {
  const counts: number[] = [];
  const counter = plugin('counter', ({ hooks }) => {
    hooks.stepEnd.tap(() => void counts.push(tf.memory().numTensors));
  });
  const before = tf.memory().numTensors;
  await toyRun([busy, counter], { steps: 20, gradientAccumulationSteps: 2, evalEverySteps: 5 }).trainer.train();
  expect(counts[19]).toBe(counts[1]);
  expect(tf.memory().numTensors).toBe(before);
});

// `configure` runs before anything exists, `failure` needs another failure, `export` an output, and state is saved below
const others = ['configure', 'failure', 'export', 'checkpointSave', 'checkpointLoad'];
const failing = hookNames.filter((hook) => !others.includes(hook));

/** Hooks that a run calls once. */
const once = new Set<string>(['setup', 'modelDefined', 'modelReady', 'refInit', 'trainBegin', 'trainEnd', 'teardown']);

test.each(failing)('a run that fails in %s leaves no tensor behind', async (hook) => {
  // at the first call, and where blocks and sums are under way
  for (const at of once.has(hook) ? [1] : [1, 2, 3]) {
    const before = tf.memory().numTensors;
    let calls = 0;
    const clumsy = plugin('clumsy', ({ hooks }) => {
      (hooks[hook].tap as (fn: () => undefined) => void)(() => {
        if (++calls === at) throw new TypeError('boom');
        return undefined;
      });
    });
    const train = { steps: 9, gradientAccumulationSteps: 2, evalEverySteps: 2 };
    expect((await failureOf(() => toyRun([clumsy, busy], train).trainer.train())).code).toBe('HOOK_FAILED');
    expect(tf.memory().numTensors).toBe(before);
  }
});

const home = mkdtempSync(path.join(tmpdir(), 'mooring-leaks-'));
afterAll(() => rmSync(home, { recursive: true }));

/** Saves the state of the run after each step. */
const saving = plugin('saving', ({ hooks }) => {
  hooks.betweenSteps.tap(({ run }) => run.saveState(path.join(home, `state-${run.step}`)));
});

test.each(['checkpointSave', 'checkpointLoad'] as const)(
  'a run that fails in %s leaves no tensor behind',
  async (hook) => {
    const state = path.join(home, 'state-1');
    await toyRun([saving, plugin('clumsy', () => {})], { steps: 1 }).trainer.train();
    const before = tf.memory().numTensors;
    const clumsy = plugin('clumsy', ({ hooks }) => {
      const fail = () => {
        throw new TypeError('boom');
      };
      if (hook === 'checkpointSave') hooks.checkpointSave.tap(fail);
      else hooks.checkpointLoad.tap(fail);
    });
    const resumed = () => toyRun([saving, clumsy], { steps: 2 }).trainer.train({ resume: state });
    const started = () => toyRun([saving, clumsy], { steps: 2 }).trainer.train();
    expect((await failureOf(hook === 'checkpointSave' ? started : resumed)).code).toBe('HOOK_FAILED');
    expect(tf.memory().numTensors).toBe(before);
  },
);
