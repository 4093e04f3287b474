import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import type { HookName, Plugin } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from '../support.ts';
import { type Case, observe } from './observe.ts';

/** Saves the state after a step. */
export const saving = (folder: string, after = 1): Plugin =>
  plugin('saving', ({ hooks }) => {
    hooks.betweenSteps.tap(async ({ run }) => {
      if (run.step === after) await run.saveState(folder);
    });
  });

/** Hooks of saving the state of a run, and of going on from it. */
export const aroundCheckpoints = {
  betweenSteps: {
    claim: 'runs after all of a step, its evaluation included, and is where the state can be saved',
    async test() {
      const seen: string[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        for (const hook of ['stepEnd', 'epochEnd', 'evaluated', 'betweenSteps', 'epochBegin'] as const)
          hooks[hook].tap(() => void seen.push(hook));
      });
      await observe([tap], { steps: 3, evalEverySteps: 3 });
      expect(seen.join(' ')).toBe(
        'epochBegin stepEnd betweenSteps stepEnd betweenSteps stepEnd epochEnd evaluated betweenSteps',
      );
      const early = plugin('alpha', ({ hooks }) => {
        let save = async () => {};
        hooks.trainBegin.tap(({ run }) => {
          save = () => run.saveState('never');
        });
        hooks.stepEnd.tap(() => save());
      });
      expect((await failureOf(() => observe([early]))).code).toBe('CHECKPOINT_MID_STEP');
    },
  },
  checkpointSave: {
    claim: 'gives a part by name, and a part of a name that is taken is refused',
    async test() {
      const parts = await savedAndLoaded([keeping('alpha'), keeping('bravo')]);
      expect(parts).toEqual({
        alpha: { version: 3, json: { of: 'alpha' }, values: [1, 2] },
        bravo: { version: 3, json: { of: 'bravo' }, values: [1, 2] },
      });
      const double = plugin('bravo', ({ hooks }) =>
        hooks.checkpointSave.tap(() => ({ alpha: { version: 1, json: {} } })),
      );
      const error = await failureOf(() => savedAndLoaded([keeping('alpha'), double]));
      expect(error.code).toBe('HOOK_DUPLICATE_PART');
    },
  },
  checkpointLoad: {
    claim: 'gets the parts back after weights and reference, and their tensors are freed after it',
    async test() {
      const order: string[] = [];
      const held: tf.Tensor[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.checkpointSave.tap(() => ({ alpha: { version: 1, json: null, tensors: { one: tf.scalar(7) } } }));
        for (const hook of ['modelReady', 'refInit', 'checkpointLoad', 'trainBegin'] as const)
          hooks[hook].tap(() => void order.push(hook));
        hooks.checkpointLoad.tap(({ parts }) => void held.push(...Object.values(parts.alpha?.tensors ?? {})));
      });
      await savedAndLoaded([tap]);
      expect(order.slice(-4)).toEqual(['modelReady', 'refInit', 'checkpointLoad', 'trainBegin']);
      expect(order).toHaveLength(7); // a run that starts at its beginning has nothing to load
      expect(held.map((tensor) => tensor.isDisposed)).toEqual([true]);
    },
  },
} satisfies Partial<Record<HookName, Case>>;

const keeping = (name: string): Plugin =>
  plugin(name, ({ hooks }) => {
    hooks.checkpointSave.tap(() => ({
      [name]: { version: 3, json: { of: name }, tensors: { 'a/b': tf.tensor1d([1, 2], 'int32') } },
    }));
  });

/** What `checkpointLoad` gets in a run that goes on from the first step of another. */
async function savedAndLoaded(plugins: readonly Plugin[]): Promise<Record<string, unknown>> {
  const home = await mkdtemp(path.join(os.tmpdir(), 'mooring-state-'));
  const loaded: Record<string, unknown> = {};
  const look = plugin('look', ({ hooks }) => {
    hooks.checkpointLoad.tap(({ parts }) => {
      for (const [name, { version, json, tensors = {} }] of Object.entries(parts))
        loaded[name] = { version, json, values: Object.values(tensors).flatMap((each) => Array.from(each.dataSync())) };
    });
  });
  const all = [...plugins, saving(path.join(home, 'state')), look];
  try {
    await toyRun(all, { steps: 2 }).trainer.train();
    await toyRun(all, { steps: 2 }).trainer.train({ resume: path.join(home, 'state') });
  } finally {
    await rm(home, { recursive: true });
  }
  return loaded;
}
