import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { definePlugin } from 'mooring';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { metrics } from '../../../plugins/metrics/index.ts';

const home = mkdtempSync(path.join(tmpdir(), 'mooring-metrics-'));
afterAll(() => rmSync(home, { recursive: true }));
const jsonLines = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

test('every step is one object whose figures are exactly those of the record', async () => {
  const records: Readonly<Record<string, number>>[] = [];
  const spy = definePlugin({
    name: 'spy',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void records.push(record)),
  });
  const output = path.join(home, 'exact');
  await toyRun([spy(), metrics()], { steps: 4, gradientAccumulationSteps: 2 }, output).trainer.train();
  const lines = jsonLines(path.join(output, 'metrics.jsonl')).filter((line) => 'loss' in line);
  // 3 batches an epoch, each of 2 rows of 4 tokens: a step of two, then one of the one that is left
  const epochs = [2 / 3, 1, 5 / 3, 2];
  const tokens = [16, 24, 40, 48];
  expect(lines).toEqual(
    records.map((record, at) => ({ step: at + 1, ...record, epoch: epochs[at], num_tokens: tokens[at] })),
  );
});

test('evaluations have lines of their own, with eval_ before the names', async () => {
  const output = path.join(home, 'evaluated');
  await toyRun([metrics()], { steps: 2, evalEverySteps: 2 }, output).trainer.train();
  const lines = jsonLines(path.join(output, 'metrics.jsonl')).filter((line) => 'eval_loss' in line);
  expect(lines).toEqual([expect.objectContaining({ step: 2, eval_loss: expect.any(Number) })]);
});

test('the summary says why a run stopped, or what it failed with', async () => {
  const at = (name: string) => JSON.parse(readFileSync(path.join(home, name, 'summary.json'), 'utf8'));
  const stop = definePlugin({
    name: 'stop',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.epochBegin.tap(({ run }) => run.requestStop('enough')),
  });
  await toyRun([metrics(), stop()], { steps: 9 }, path.join(home, 'stopped')).trainer.train();
  expect(at('stopped')).toMatchObject({ steps: 1, plannedSteps: 9, stopReason: 'enough', error: null, tokens: 8 });
  expect(at('stopped').millisecondsAwaitingData).toBeLessThan(1000 * at('stopped').seconds);
  expect(at('stopped').peakTensorBytes).toBeGreaterThan(0);
  expect(at('stopped').peakBytes).toBeGreaterThan(at('stopped').peakTensorBytes);
  expect(at('stopped').peakBytes).toBeGreaterThan(1e7);

  const fail = definePlugin({
    name: 'fail',
    apiVersion: 1,
    apply: ({ hooks }) =>
      hooks.stepEnd.tap(({ step }) => {
        if (step.index === 2) throw new RangeError('no more');
      }),
  });
  const failing = toyRun([metrics(), fail()], { steps: 9 }, path.join(home, 'failed')).trainer;
  await expect(failing.train()).rejects.toThrow('no more');
  expect(at('failed')).toMatchObject({ steps: 2, error: { code: 'HOOK_FAILED' }, reference: null });
});

test('the figures of earlier runs in the same folder are kept', async () => {
  const output = path.join(home, 'again');
  for (const steps of [1, 2, 3]) await toyRun([metrics()], { steps }, output).trainer.train();
  expect(readdirSync(output).sort()).toEqual(
    ['metrics', 'summary'].flatMap((name) => [1, 2, ''].map((number) => fileName(name, number))).sort(),
  );
  const steps = (name: string) => Math.max(...jsonLines(path.join(output, name)).map((line) => line.step ?? 0));
  expect(['metrics.1.jsonl', 'metrics.2.jsonl', 'metrics.jsonl'].map(steps)).toEqual([1, 2, 3]);
});

test('a run without an output folder, and one that never begins, write nothing', async () => {
  await toyRun([metrics()], { steps: 1 }).trainer.train();
  const output = path.join(home, 'never');
  const broken = definePlugin({
    name: 'broken',
    apiVersion: 1,
    apply: ({ hooks }) =>
      hooks.modelReady.tap(() => {
        throw new RangeError('broken');
      }),
  });
  await expect(toyRun([metrics(), broken()], {}, output).trainer.train()).rejects.toThrow('broken');
  expect(existsSync(output)).toBe(false);
});

test('a process that is killed loses no line', async () => {
  const root = path.resolve(import.meta.dirname, '../../..');
  const program = path.join(home, 'killed.ts');
  writeFileSync(
    program,
    `import { definePlugin } from 'mooring';
import { toyRun } from 'mooring/testing';
import { metrics } from 'mooring/plugins/metrics';
const die = definePlugin({ name: 'die', apiVersion: 1, apply: ({ hooks }) => hooks.stepEnd.tap(({ step }) => {
  if (step.index === 3) process.kill(process.pid, 'SIGKILL');
}) });
await toyRun([metrics(), die()], { steps: 9 }, ${JSON.stringify(path.join(home, 'killed'))}).trainer.train();`,
  );
  const child = spawn(process.execPath, ['--import', path.join(root, 'core/cli/register.js'), program]);
  const signal = await new Promise((resolve) => child.on('exit', (_, name) => resolve(name)));
  expect(signal).toBe('SIGKILL');
  expect(jsonLines(path.join(home, 'killed/metrics.jsonl')).map((line) => line.step)).toEqual([1, 2, 3]);
});

function fileName(name: string, number: number | string): string {
  return `${name}${number === '' ? '' : `.${number}`}.${name === 'metrics' ? 'jsonl' : 'json'}`;
}

test('a run that resumes goes on after the step of its checkpoint: what was written since comes once', async () => {
  const output = path.join(home, 'resumed');
  const state = path.join(home, 'state');
  const saving = definePlugin({
    name: 'saving',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.betweenSteps.tap(async ({ run }) => {
        if (run.step === 2) await run.saveState(state);
      });
    },
  });
  const train = { steps: 4, evalEverySteps: 2 };
  await toyRun([metrics(), saving()], train, output).trainer.train();
  const file = path.join(output, 'metrics.jsonl');
  const whole = readFileSync(file, 'utf8');
  writeFileSync(file, whole.slice(0, -20)); // as a kill in the middle of a line leaves it
  rmSync(path.join(output, 'summary.json'));
  await toyRun([metrics(), saving()], train, output).trainer.train({ resume: state });
  expect(readFileSync(file, 'utf8')).toBe(whole);
  expect(readdirSync(output).sort()).toEqual(['metrics.jsonl', 'summary.json']);
});

test('a run that resumes into the output of another sets its figures aside, all of them', async () => {
  const [state, output] = [path.join(home, 'elsewhere'), path.join(home, 'taken')];
  const saving = definePlugin({
    name: 'saving',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.betweenSteps.tap(async ({ run }) => {
        if (run.step === 2 && run.config.output !== output) await run.saveState(state);
      });
    },
  });
  const run = (folder: string, learningRate: number, steps: number) =>
    toyRun([metrics(), saving()], { steps, learningRate, schedule: 'constant' }, folder).trainer;
  await run(path.join(home, 'first'), 0.1, 2).train();
  await run(output, 0.2, 5).train();
  const whole = readFileSync(path.join(output, 'metrics.jsonl'), 'utf8');
  await run(output, 0.1, 3).train({ resume: state });
  expect(readFileSync(path.join(output, 'metrics.1.jsonl'), 'utf8')).toBe(whole);
  expect(jsonLines(path.join(output, 'metrics.jsonl')).map((line) => line.step)).toEqual([3]);
});

test('a run that resumes and cannot read its figures says so, and leaves them', async () => {
  const [state, output] = [path.join(home, 'before'), path.join(home, 'unreadable')];
  const saving = definePlugin({
    name: 'saving',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.trainEnd.tap(({ run }) => run.saveState(state)),
  });
  const run = (steps: number, folder: string) => toyRun([metrics(), saving()], { steps, schedule: 'constant' }, folder);
  await run(1, path.join(home, 'readable')).trainer.train();
  mkdirSync(path.join(output, 'metrics.jsonl'), { recursive: true });
  const resumed = run(2, output).trainer.train({ resume: state });
  await expect(resumed).rejects.toMatchObject({ code: 'METRICS_UNWRITABLE' });
  expect(readdirSync(output)).toEqual(['metrics.jsonl']);
});

test('only the first of several ranks writes', async () => {
  const output = path.join(home, 'ranks');
  await inRanks(3, (collectives) => toyRun([metrics(), givenRanks(collectives)], { steps: 2 }, output).trainer.train());
  expect(jsonLines(path.join(output, 'metrics.jsonl')).map((line) => line.step)).toEqual([1, 2]);
  expect(readdirSync(output).sort()).toEqual(['metrics.jsonl', 'summary.json']);
});
