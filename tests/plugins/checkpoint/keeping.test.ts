import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, jest, test } from '@jest/globals';
import type { Plugin } from 'mooring';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { checkpoint } from '../../../plugins/checkpoint/index.ts';
import { failureOf, plugin } from '../../core/support.ts';
import { folder } from './support.ts';

const kept = (output: string) => readdirSync(path.join(output, 'checkpoints')).sort();
const judging = (values: readonly number[]): Plugin =>
  plugin('judging', ({ hooks }) => hooks.evaluate.tap(({ run }) => ({ eval_score: values[run.step] ?? 0 })));

test('saves every so many steps and at the end, and keeps the last', async () => {
  const output = folder();
  await toyRun([checkpoint({ everySteps: 2, keepLast: 2 })], { steps: 7 }, output).trainer.train();
  expect(kept(output)).toEqual(['step-6', 'step-7']);
});

test('saves when it is asked to stop', async () => {
  const output = folder();
  const stop = plugin('stop', ({ hooks }) => hooks.epochEnd.tap(() => toy.trainer.requestStop('enough')));
  const toy = toyRun([stop, checkpoint()], { steps: 7 }, output);
  await toy.trainer.train();
  expect(kept(output)).toEqual(['step-3']);
});

test('saves and keeps the best evaluation too, wherever it falls, and across a resume', async () => {
  const output = folder();
  const plugins = () => [
    judging([0, 1, 5, 3, 3, 2, 4, 0, 0]),
    checkpoint({ everySteps: 4, keepLast: 1, keepBest: 'eval_score' }),
  ];
  const train = { steps: 6, evalEverySteps: 1, schedule: 'constant' } as const;
  await toyRun(plugins(), train, output).trainer.train();
  expect(kept(output)).toEqual(['step-2', 'step-6']);
  await toyRun(plugins(), { ...train, steps: 8 }, output).trainer.train({ resume: true });
  expect(kept(output)).toEqual(['step-2', 'step-8']);
});

test('a figure that no evaluation gives is refused, with those that there are', async () => {
  const plugins = [judging([]), checkpoint({ keepBest: { figure: 'eval_luck', mode: 'min' } })];
  const error = await failureOf(() => toyRun(plugins, { evalEverySteps: 1 }, folder()).trainer.train());
  expect(error.code).toBe('CHECKPOINT_BEST_UNKNOWN');
  expect(error.message).toMatch(/eval_luck.*eval_loss/);
  const none = await failureOf(() => toyRun(plugins, {}, folder()).trainer.train());
  expect(none.code).toBe('CHECKPOINT_BEST_UNKNOWN');
  expect((await failureOf(() => toyRun([checkpoint()]).trainer.train())).code).toBe('CHECKPOINT_NO_OUTPUT');
});

test('a run that starts anew sets the checkpoints of an earlier one aside', async () => {
  const output = folder();
  for (const steps of [3, 2]) await toyRun([checkpoint()], { steps }, output).trainer.train();
  expect(kept(output)).toEqual(['step-2']);
  expect(readdirSync(path.join(output, 'checkpoints.1'))).toEqual(['step-3']);
});

test.each([1, 2])(
  'a full disk costs a checkpoint, not the run nor the former ones, and is said: ranks %i',
  async (ranks) => {
    const output = folder();
    const { filling, empty } = await diskFullAt(3);
    const runs = await inRanks(ranks, async (collectives) => {
      const plugins = [filling, checkpoint({ everySteps: 1, keepLast: 9 }), givenRanks(collectives)];
      const toy = toyRun(plugins, { steps: 4 }, output);
      await toy.trainer.train();
      return toy;
    }).finally(empty);
    expect(kept(output)).toEqual(['step-1', 'step-2', 'step-4']);
    for (const { logged } of runs) {
      const message = expect.stringMatching(/no checkpoint of step 3.*no space left/);
      expect(logged).toContainEqual(expect.objectContaining({ level: 'error', message }));
    }
  },
);

test('a loss that is not finite leaves the checkpoint before it, which the same run goes on from', async () => {
  const output = folder();
  const sick = (isSick: boolean) =>
    plugin('sick', ({ hooks }) => {
      let step = 0;
      hooks.stepBegin.tap((begun) => {
        step = begun.step.index;
      });
      hooks.gradient.tap((gradient) => (isSick && step === 4 ? gradient.mul(Number.NaN) : undefined));
    });
  const run = (isSick: boolean) => toyRun([sick(isSick), checkpoint({ everySteps: 1 })], { steps: 5 }, output).trainer;
  expect((await failureOf(() => run(true).train())).code).toBe('NON_FINITE_LOSS');
  expect(kept(output)).toEqual(['step-2', 'step-3']);
  expect((await run(false).train({ resume: true })).steps).toBe(5);
});

test('a finished run that resumes trains nothing and ends well', async () => {
  const output = folder();
  const { record } = await toyRun([checkpoint()], { steps: 2 }, output).trainer.train();
  const before = readFileSync(path.join(output, 'checkpoints/step-2/manifest.json'), 'utf8');
  const again = await toyRun([checkpoint()], { steps: 2 }, output).trainer.train({ resume: true });
  expect(again).toMatchObject({ steps: 2, record });
  expect(readFileSync(path.join(output, 'checkpoints/step-2/manifest.json'), 'utf8')).toBe(before);
  expect(existsSync(path.join(output, 'checkpoints.1'))).toBe(false);
});

test('a best checkpoint that no disk took does not cost the one before it', async () => {
  const output = folder();
  const { filling, empty } = await diskFullAt(3);
  const saver = checkpoint({ everySteps: 9, keepLast: 1, keepBest: 'eval_score' });
  const { trainer } = toyRun([judging([0, 5, 1, 9, 2, 3]), filling, saver], { steps: 5, evalEverySteps: 1 }, output);
  await trainer.train().finally(empty);
  expect(kept(output)).toEqual(['step-1', 'step-5']);
});

test('an evaluation that is not finite is not the best, and can be resumed after', async () => {
  const output = folder();
  const run = (steps: number) =>
    toyRun(
      [judging([0, Infinity, 1, 0, 0]), checkpoint({ everySteps: 1, keepLast: 1, keepBest: 'eval_score' })],
      { steps, evalEverySteps: 1, schedule: 'constant' },
      output,
    ).trainer;
  await run(1).train();
  expect((await run(2).train({ resume: true })).steps).toBe(2);
  expect((await run(4).train({ resume: true })).steps).toBe(4);
  expect(kept(output)).toEqual(['step-2', 'step-4']);
});

test('saves when a later plugin asks to stop between steps', async () => {
  const output = folder();
  const stop = plugin('stop', ({ hooks }) =>
    hooks.betweenSteps.tap(({ run }) => void (run.step === 3 && run.requestStop('enough'))),
  );
  const { trainer } = toyRun([checkpoint(), stop], { steps: 7 }, output);
  expect((await trainer.train()).steps).toBe(3);
  expect(kept(output)).toEqual(['step-3']);
});

test('a run that goes on from a checkpoint elsewhere sets what is in its output aside, and removes none of it', async () => {
  const [one, other] = [folder(), folder()];
  const run = (output: string, learningRate: number, steps: number) =>
    toyRun([checkpoint({ everySteps: 1, keepLast: 1 })], { steps, learningRate, schedule: 'constant' }, output).trainer;
  await run(one, 0.1, 2).train();
  await run(other, 0.2, 1).train();
  await run(other, 0.1, 3).train({ resume: path.join(one, 'checkpoints/step-2') });
  expect(kept(other)).toEqual(['step-3']);
  expect(readdirSync(path.join(other, 'checkpoints.1'))).toEqual(['step-1']);
});

/** A disk that is full while the checkpoint of a step is written, and what restores it. */
async function diskFullAt(step: number) {
  const { open } = await import('node:fs/promises');
  const probe = await open(path.join(import.meta.dirname, 'support.ts'));
  const write = jest.spyOn(Object.getPrototypeOf(probe), 'writeFile');
  await probe.close();
  const filling = plugin('filling', ({ hooks }) => {
    hooks.checkpointSave.tap(({ run }) => {
      // the first rank writes the state
      if (run.step === step && run.rank === 0)
        write.mockRejectedValueOnce(Object.assign(new RangeError('full'), { code: 'ENOSPC' }));
      return undefined;
    });
  });
  return { filling, empty: () => write.mockRestore() };
}
