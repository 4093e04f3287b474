import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { clipCoefficient } from '../../../core/optim/clip.ts';
import { createSchedule } from '../../../core/optim/schedule.ts';

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/optim/${name}.json`, import.meta.url), 'utf8'));

interface ScheduleCase {
  readonly schedule: 'constant' | 'linear' | 'cosine';
  readonly warmupSteps: number;
  readonly learningRate: number;
  readonly rates: number[];
}

interface ClipCase {
  readonly gradient: number[];
  readonly maxNorm: number;
  readonly norm: number;
  readonly clipped: number[];
}

// what transformers and torch computed; tests/fixtures/make/optim.py made it
const schedules: ScheduleCase[] = fixture('schedules');
const clips: ClipCase[] = fixture('clip');

test.each(schedules)("$schedule with $warmupSteps warmup steps gives transformers' rates", (settings) => {
  const schedule = createSchedule(settings);
  settings.rates.forEach((rate, at) => {
    expect(schedule.learningRate(at + 1, settings.rates.length)).toBeCloseTo(rate, 15);
  });
});

test.each(clips)("scales a gradient of norm $norm to $maxNorm as torch's clip_grad_norm_", (settings) => {
  const coefficient = clipCoefficient(settings.norm, settings.maxNorm);
  settings.gradient.forEach((value, at) => {
    const expected = settings.clipped[at] as number;
    expect(Math.abs(value * coefficient - expected)).toBeLessThanOrEqual(1e-6 * Math.abs(expected));
  });
});

test('leaves a gradient below the limit as it is', () => {
  expect(clipCoefficient(0, 1)).toBe(1);
  expect(clipCoefficient(0.5, 1)).toBe(1);
});
