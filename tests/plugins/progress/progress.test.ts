import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { progress } from 'mooring/plugins/progress';
import { toyRun } from 'mooring/testing';
import { drawBar, type Terminal } from '../../../plugins/progress/bar.ts';
import { formatDuration, formatStep } from '../../../plugins/progress/format.ts';
import { Pace } from '../../../plugins/progress/pace.ts';

test('prints a plain line for the first step, the last, and every so many between', async () => {
  const { trainer, logged } = toyRun([progress({ everySteps: 3 })], { steps: 7 });
  await trainer.train();
  const steps = logged.map(({ message }) => /^step (\d+)\/7 {2}loss [\d.]+ /.exec(message)?.[1]).filter(Boolean);
  expect(steps).toEqual(['1', '3', '6', '7']);
});

test('shows loss, margin, accuracy, speed and time left, and leaves out what a run has not', () => {
  const record = { loss: 0.69312, 'rewards/margins': 0.0123456, 'rewards/accuracies': 0.75, grad_norm: 3 };
  expect(formatStep(record, 1843.4, 83)).toBe('loss 0.6931  margin 0.01235  accuracy 0.7500  1843 tokens/s  1:23 left');
  expect(formatStep({ loss: 2 }, 10, 0)).toBe('loss 2.000  10 tokens/s  0:00 left');
  expect([59.6, 3599, 7510].map(formatDuration)).toEqual(['1:00', '59:59', '2:05:10']);
});

test('the time left follows the last twenty steps, not the slow first one', () => {
  const pace = new Pace(0);
  pace.add(60_000, 100);
  for (let step = 2; step <= 30; step++) pace.add(60_000 + (step - 1) * 500, 100);
  expect(pace.tokensPerSecond).toBeCloseTo(200, 9);
  expect(pace.secondsLeft({ index: 30, steps: 40, epoch: 0 })).toBeCloseTo(5, 9);
});

test('on a terminal, what others write stands above the bar, and the terminal is theirs again afterwards', () => {
  const screen = new PassThrough();
  const cursor = { isTTY: true, columns: 100, cursorTo: () => true, clearLine: () => true };
  const terminal: Terminal = Object.assign(screen, cursor);
  const write = terminal.write;
  const bar = drawBar(4, terminal);
  bar.show(2, 'loss 0.5');
  terminal.write('alpha\n');
  bar.stop();
  bar.stop();
  expect(terminal.write).toBe(write);
  const drawn = String(screen.read());
  expect(drawn).toMatch(/0\/4 {2}first step.*alpha\n.*2\/4 {2}loss 0\.5.*\n$/s);
  expect(drawn.includes(`${String.fromCharCode(27)}8`)).toBe(false); // back to above alpha
});
