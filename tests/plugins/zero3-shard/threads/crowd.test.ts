import { expect, test } from '@jest/globals';
import { createThreads, warnOfCrowd } from '../../../../plugins/zero3-shard/threads/create-threads.ts';
import { quiet } from '../../../core/support.ts';

test.each([
  [1, 2, []],
  [2, 2, []],
  [3, 2, ['zero3-shard: 3 ranks on 2 processors take turns, which is slower']],
])('of %d ranks on %d processors it is said: %j', (ranks, processors, said) => {
  const warnings: string[] = [];
  warnOfCrowd(ranks, { ...quiet, warn: (_: object, message: string) => void warnings.push(message) }, processors);
  expect(warnings).toEqual(said);
});

test('as many ranks as no process can hold are refused', () => {
  expect(() => createThreads({ ranks: 1e6, log: quiet })).toThrow(/1000000 ranks as threads, and a process has/);
});
