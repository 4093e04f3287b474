import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from '@jest/globals';
import { type HookName, ParameterStore, Reference, type StepRecord } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from '../support.ts';
import { type Case, observe } from './observe.ts';

/** Hooks around the steps: from the configuration to the teardown. */
export const aroundTheSteps = {
  configure: {
    claim: 'replaces the train settings before any service exists',
    async test() {
      const given: (number | undefined)[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.configure.tap((train, { config }) => {
          given.push(train.steps, config.train.steps);
          return { ...train, steps: 2, learningRate: 0.5 };
        });
      });
      const { result, records } = await observe([tap], { steps: 9 });
      expect(given).toEqual([9, 9]);
      expect(result.steps).toBe(2);
      expect(records[1]?.learning_rate).toBe(0.5);
    },
  },
  setup: {
    claim: 'runs once, when services exist and no parameter is defined',
    async test() {
      const seen: (readonly string[])[] = [];
      const tap = plugin(
        'alpha',
        ({ hooks, services }) => hooks.setup.tap(() => void seen.push(services.store.names)),
        { store: ParameterStore },
      );
      await observe([tap]);
      expect(seen).toEqual([[]]);
    },
  },
  modelDefined: {
    claim: 'knows blocks and shapes but no weights, and defines and freezes parameters',
    async test() {
      const codes: string[] = [];
      const tap = plugin(
        'alpha',
        ({ hooks, services }) => {
          hooks.modelDefined.tap(async ({ model }) => {
            expect(model.blocks.map((block) => block.name)).toEqual(['embedding', 'head']);
            const error = await failureOf(() => services.store.read('head.weight', 'policy'));
            codes.push(error.code);
            services.store.setTrainable('head.weight', false);
          });
        },
        { store: ParameterStore },
      );
      const { gradients } = await observe([tap]);
      expect(codes).toEqual(['PARAMETER_NOT_LOADED']);
      expect(Object.keys(gradients[0] as object).sort()).toEqual(['embedding.weight', 'head.bias']);
    },
  },
  modelReady: {
    claim: 'runs once, when the weights are loaded',
    async test() {
      const shapes: number[][] = [];
      const tap = plugin(
        'alpha',
        ({ hooks, services }) => {
          hooks.modelReady.tap(() => {
            const weight = services.store.read('head.weight', 'policy');
            shapes.push(weight.shape);
            weight.dispose();
          });
        },
        { store: ParameterStore },
      );
      await observe([tap]);
      expect(shapes).toEqual([[8, 4]]);
    },
  },
  refInit: {
    claim: 'gets the reference, or undefined where the run has none',
    async test() {
      const kinds: (string | undefined)[] = [];
      const tap = plugin('alpha', ({ hooks }) =>
        hooks.refInit.tap(({ reference }) => void kinds.push(reference?.kind)),
      );
      const provider = plugin('bravo', ({ provide }) => {
        provide(Reference, {
          uses: {},
          create: () => ({
            kind: 'reload',
            fingerprint: async () => 'november',
            bytesResident: () => 0,
            score: async ({ rows }) => ({
              logps: (await import('@tensorflow/tfjs')).zeros([rows.targets.label.length]),
            }),
          }),
        });
      });
      await observe([tap]);
      await observe([tap, provider]);
      expect(kinds).toEqual([undefined, 'reload']);
    },
  },
  trainBegin: {
    claim: 'runs once, before the first step',
    async test() {
      const steps: number[][] = [];
      await observe([
        plugin('alpha', ({ hooks }) => hooks.trainBegin.tap(({ run }) => void steps.push([run.step, run.steps]))),
      ]);
      expect(steps).toEqual([[0, 1]]);
    },
  },
  epochBegin: {
    claim: 'runs before the first step of each epoch',
    async test() {
      expect(await epochs('epochBegin')).toEqual([
        [0, 0],
        [1, 3],
      ]);
    },
  },
  epochEnd: {
    claim: 'runs after the last step of each epoch that was completed',
    async test() {
      expect(await epochs('epochEnd')).toEqual([[0, 3]]);
    },
  },
  evaluate: {
    claim: 'adds figures to those on the evaluation data',
    async test() {
      const tap = plugin('alpha', ({ hooks }) => hooks.evaluate.tap(async ({ run }) => ({ wins: 10 + run.step })));
      const { result } = await observe([tap], { evalEverySteps: 1 });
      expect(result.evaluation).toMatchObject({ wins: 11, eval_loss: expect.any(Number) });
    },
  },
  evaluated: {
    claim: 'gets the figures of each evaluation, and its step',
    async test() {
      const seen: [StepRecord, number][] = [];
      const tap = plugin('alpha', ({ hooks }) =>
        hooks.evaluated.tap(({ figures, step }) => void seen.push([figures, step])),
      );
      const { result } = await observe([tap], { steps: 5, evalEverySteps: 2 });
      expect(seen.map(([, step]) => step)).toEqual([2, 4, 5]); // and after the last step
      expect(Object.keys(seen[1]?.[0] ?? {}).sort()).toEqual(['eval_logps/mean', 'eval_loss']);
      expect(seen[2]?.[0]).toEqual(result.evaluation);
    },
  },
  trainEnd: {
    claim: 'runs once, after the last step',
    async test() {
      const steps: number[] = [];
      await observe([plugin('alpha', ({ hooks }) => hooks.trainEnd.tap(({ run }) => void steps.push(run.step)))], {
        steps: 2,
      });
      expect(steps).toEqual([2]);
    },
  },
  export: {
    claim: 'writes folders into a staging directory, which then stand in the output',
    async test() {
      const output = await mkdtemp(path.join(os.tmpdir(), 'mooring-export-'));
      const staging: string[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.export.tap(async ({ directory, run }) => {
          staging.push(directory);
          await writeFile(path.join(directory, 'model'), `step ${run.step}`);
        });
      });
      await observe([tap]);
      expect(staging).toEqual([]); // no output, nothing to export
      const { result } = await observe([tap], {}, output);
      expect(result.written).toEqual([path.join(output, 'model')]);
      expect(await readFile(path.join(output, 'model'), 'utf8')).toBe('step 1');
      await expect(access(staging[0] as string)).rejects.toThrow('ENOENT');
      expect(await readdir(output)).toEqual(['model']);
      await rm(output, { recursive: true });
    },
  },
  failure: {
    claim: 'sees the error and cannot swallow or replace it',
    async test() {
      const seen: unknown[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.trainBegin.tap(() => {
          throw new TypeError('boom');
        });
        hooks.failure.tap(({ error }) => void seen.push(error));
        hooks.failure.tap(() => {
          throw new TypeError('another');
        });
      });
      const { trainer, logged } = toyRun([tap]);
      const error = await failureOf(() => trainer.train());
      expect(error.place).toMatchObject({ plugin: 'alpha', hook: 'trainBegin' });
      expect(seen).toEqual([error]);
      expect(logged).toContainEqual(
        expect.objectContaining({ level: 'error', message: expect.stringContaining('in the hook failure: another') }),
      );
    },
  },
  teardown: {
    claim: 'runs last, whether the run ends well or not',
    async test() {
      const seen: string[] = [];
      const tap = (fails: boolean) =>
        plugin('alpha', ({ hooks }) => {
          hooks.trainEnd.tap(() => {
            if (fails) throw new TypeError('boom');
          });
          hooks.failure.tap(() => void seen.push('failure'));
          hooks.teardown.tap(({ run }) => void seen.push(`teardown after ${run.step}`));
        });
      await toyRun([tap(false)], { steps: 2 }).trainer.train();
      await failureOf(() => toyRun([tap(true)], { steps: 3 }).trainer.train());
      expect(seen).toEqual(['teardown after 2', 'failure', 'teardown after 3']);
    },
  },
} satisfies Partial<Record<HookName, Case>>;

/** Epoch and steps done at each call of an epoch hook, in 4 steps of which an epoch has 3. */
async function epochs(hook: 'epochBegin' | 'epochEnd'): Promise<number[][]> {
  const seen: number[][] = [];
  const tap = plugin('alpha', ({ hooks }) => hooks[hook].tap(({ run, epoch }) => void seen.push([epoch, run.step])));
  await observe([tap], { steps: 4 });
  return seen;
}
