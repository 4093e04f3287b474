import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { definePlugin, type StepRecord } from 'mooring';
import { metrics } from 'mooring/plugins/metrics';
import { toyRun } from 'mooring/testing';
import { MetricsFile } from '../../../plugins/metrics/metrics-file.ts';

const home = mkdtempSync(path.join(tmpdir(), 'mooring-metrics-'));
const readLines = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

test('every finite number is read back as it was written, and others as null', () => {
  const file = path.join(home, 'numbers.jsonl');
  const figures = new MetricsFile(file);
  const written: number[] = [];
  const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0));
  fc.assert(
    fc.property(finite, (value) => {
      written.push(value);
      figures.append({ value });
    }),
  );
  figures.append({ value: Number.NaN });
  figures.close();
  expect(readLines(file).map(({ value }) => value)).toEqual([...written, null]);
});

test('a step has one line with its own figures, an evaluation one with eval_ names', async () => {
  const output = path.join(home, 'run');
  const records: StepRecord[] = [];
  const spy = definePlugin({
    name: 'spy',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void records.push({ ...record })),
  });
  await toyRun([metrics(), spy()], { steps: 4, evalEverySteps: 2 }, output).trainer.train();
  const lines = readLines(path.join(output, 'metrics.jsonl'));
  expect(lines.map(({ step }) => step)).toEqual([1, 2, 2, 3, 4, 4]);
  const steps = lines.filter((line) => 'loss' in line);
  steps.forEach((line, index) => {
    expect(Object.keys(line)[0]).toBe('step');
    expect(line).toMatchObject(records[index] as StepRecord);
  });
  const evaluation = lines[2] as Record<string, number>;
  expect(Object.keys(evaluation).filter((name) => !/^(step|epoch|eval_.+)$/.test(name))).toEqual([]);
  // two rows of four tokens a step
  expect(steps.map((line) => line.num_tokens)).toEqual([8, 16, 24, 32]);
});

test('the summary of a failed run says with what it failed, and after how many steps', async () => {
  const output = path.join(home, 'failed');
  const failing = definePlugin({
    name: 'failing',
    apiVersion: 1,
    apply: ({ hooks }) =>
      hooks.stepEnd.tap(({ step }) => {
        if (step.index === 2) throw new Error('november');
      }),
  });
  await expect(toyRun([metrics(), failing()], {}, output).trainer.train()).rejects.toThrow('november');
  const summary = JSON.parse(readFileSync(path.join(output, 'summary.json'), 'utf8'));
  expect(summary).toMatchObject({ plannedSteps: 4, error: { code: 'HOOK_FAILED' } });
  expect(readLines(path.join(output, 'metrics.jsonl')).map(({ step }) => step)).toEqual([1, 2]);
});

test('a run without output writes nothing', async () => {
  await toyRun([metrics()]).trainer.train();
  expect(existsSync('metrics.jsonl')).toBe(false);
});
