import { expect, test } from '@jest/globals';
import { toyRun } from 'mooring/testing';
import { drawBar, type Terminal } from '../../../plugins/progress/bar.ts';
import { formatDuration, formatStep } from '../../../plugins/progress/format.ts';
import { progress } from '../../../plugins/progress/index.ts';
import { Pace } from '../../../plugins/progress/pace.ts';

test('without a terminal it logs the first step, every so many, and the last', async () => {
  const { trainer, logged } = toyRun([progress({ everySteps: 3 })], { steps: 7 });
  await trainer.train();
  const lines = logged.map(({ message }) => message).filter((line) => line.startsWith('step'));
  expect(lines.map((line) => line.split('  ')[0])).toEqual(['step 1/7', 'step 3/7', 'step 6/7', 'step 7/7']);
  expect(lines[3]).toMatch(/^step 7\/7 {2}loss [\d.]+ {2}\d+ tokens\/s {2}0:00 left$/);
});

test('an evaluation is logged under the same names', async () => {
  const { trainer, logged } = toyRun([progress()], { steps: 2, evalEverySteps: 1 });
  await trainer.train();
  expect(logged.filter(({ message }) => /^evaluation after step \d {2}loss [\d.]+$/.test(message))).toHaveLength(2);
});

test('a step shows loss, margin, accuracy, speed and time left', () => {
  const record = { loss: 0.6543219, 'rewards/margins': 0.012, 'rewards/accuracies': 0.75, grad_norm: 1 };
  expect(formatStep(record, 1843.4, 83)).toBe('loss 0.6543  margin 0.01200  accuracy 0.7500  1843 tokens/s  1:23 left');
});

test('durations read as clocks do', () => {
  expect([0, 59.6, 61, 3600, 7510].map(formatDuration)).toEqual(['0:00', '1:00', '1:01', '1:00:00', '2:05:10']);
});

test('the pace is that of the last twenty steps: a slow first one is forgotten', () => {
  const pace = new Pace(0);
  pace.add(10_000, 100); // 10 tokens a second
  expect(pace.tokensPerSecond).toBe(10);
  for (let step = 1; step <= 20; step++) pace.add(10_000 + 1000 * step, 100);
  expect(pace.tokensPerSecond).toBe(100);
  expect(pace.secondsLeft({ index: 21, steps: 31, epoch: 0 })).toBe(10);
});

test('on a terminal a bar stays at the bottom, and what others write stands above it', () => {
  const written: string[] = [];
  const write: Terminal['write'] = (text: unknown) => written.push(String(text)) > 0;
  const terminal = { isTTY: true, columns: 120, write, on: () => terminal, once: () => terminal } as never as Terminal;
  const bar = drawBar(4, terminal);
  bar.show(2, 'loss 0.5');
  terminal.write('a line of the log\n');
  bar.stop();
  bar.stop();
  const screen = written.join('');
  expect(screen.indexOf('loss 0.5')).toBeGreaterThan(screen.indexOf('a line of the log\n'));
  expect(screen).toMatch(/2\/4 {2}loss 0\.5/);
  expect(terminal.write).toBe(write);
});
