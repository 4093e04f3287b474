import { expect, test } from '@jest/globals';
import { toyRun } from 'mooring/testing';
import { createProfiler } from './profiler.ts';

test('charges every part of a step, of every step', async () => {
  const { plugin, steps } = createProfiler();
  const { trainer } = toyRun([plugin]);
  const { steps: taken } = await trainer.train();
  expect(steps.length).toBe(taken);
  for (const step of steps) {
    const charged = [...step.keys()];
    const always = ['waiting for data', 'loss and metrics', 'gradient norm', 'optimizer', 'the rest'];
    expect(charged).toEqual(expect.arrayContaining(always));
    expect(charged.some((part) => part.startsWith('policy forward: '))).toBe(true);
    expect(charged.some((part) => part.startsWith('backward: '))).toBe(true);
    expect([...step.values()].every((milliseconds) => milliseconds >= 0)).toBe(true);
  }
});
