import { expect, test } from '@jest/globals';
import type { Log } from 'mooring';
import { SlowRanks } from '../../../../plugins/zero3-shard/threads/slow-ranks.ts';

test('says after 10 s, and then less and less often, who is waited for, how long and for what', () => {
  const { slow, said, pass } = watching(0);
  const stop = slow.watch('gather of block 3', () => [1, 2]);
  pass(9);
  expect(said).toEqual([]);
  pass(1);
  expect(said).toEqual(['waiting for ranks 1, 2 for 10 s now, in gather of block 3']);
  pass(100);
  expect(said.map((each) => Number(/for (\d+) s/.exec(each)?.[1]))).toEqual([10, 20, 40, 80]);
  stop();
  pass(1000);
  expect(said).toHaveLength(4);
});

test('who could not say it for a while says it once, and again at the times of the others', () => {
  const { slow, said, pass } = watching(0);
  slow.watch('gather of block 3', () => [1]);
  pass(50, 50);
  expect(said).toEqual(['waiting for rank 1 for 50 s now, in gather of block 3']);
  pass(29);
  expect(said).toHaveLength(1);
  pass(1);
  expect(said[1]).toMatch(/for 80 s/);
});

test.each([
  [1, [0], true],
  [2, [0], false],
  [2, [0, 1], true],
  [0, [], false],
])('of the ranks that wait only the first speaks: rank %d, waiting for %j', (rank, missing, speaks) => {
  const { slow, said, pass } = watching(rank);
  slow.watch('the end', () => missing);
  pass(10);
  expect(said.length > 0).toBe(speaks);
});

function watching(rank: number) {
  const said: string[] = [];
  let now = 0;
  let waiting: { at: number; act: () => void }[] = [];
  const silent = () => undefined;
  const log: Log = { debug: silent, info: silent, error: silent, warn: (_, message) => void said.push(message) };
  const timers = {
    now: () => now,
    after(milliseconds: number, act: () => void) {
      const entry = { at: now + milliseconds, act };
      waiting.push(entry);
      return () => {
        waiting = waiting.filter((each) => each !== entry);
      };
    },
  };
  const isDue = ({ at }: { readonly at: number }) => at <= now;
  const pass = (seconds: number, atOnce = 1) => {
    for (let second = 0; second < seconds; second += atOnce) {
      now += 1000 * atOnce;
      for (let due = waiting.filter(isDue); due.length > 0; due = waiting.filter(isDue)) {
        waiting = waiting.filter((each) => !due.includes(each));
        for (const { act } of due) act();
      }
    }
  };
  return { slow: new SlowRanks(rank, log, timers), said, pass };
}
