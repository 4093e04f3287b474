import { expect, test } from '@jest/globals';
import { Arena, createArena } from '../../../../plugins/zero3-shard/arena.ts';
import type { ThreadCollectives } from '../../../../plugins/zero3-shard/threads/thread-collectives.ts';
import { failureOf } from '../../../core/support.ts';
import { ranksHere } from './support.ts';

test('takes the lowest room that fits, and grows only where none does', () => {
  const arena = new Arena(createArena());
  expect([arena.take(0, 100), arena.take(1, 10), arena.take(2, 60)]).toEqual([0, 128, 192]);
  expect(arena.memory.byteLength).toBe(256);
  arena.freeBefore(2);
  expect([arena.take(3, 64), arena.take(4, 129), arena.take(5, 128)]).toEqual([0, 256, 64]);
  arena.freeBefore(6);
  expect([arena.take(6, 448), arena.memory.byteLength]).toEqual([0, 448]);
});

test('gives nothing beyond the most, until what is there is read, and never more than that', () => {
  const arena = new Arena(createArena(256));
  expect([arena.take(0, 200), arena.take(1, 1)]).toEqual([0, undefined]);
  arena.freeBefore(1);
  expect(arena.take(1, 256)).toBe(0);
  arena.free(1);
  expect([arena.take(2, 257), arena.take(3, 1)]).toEqual([undefined, 0]);
});

test.each([
  ['more calls than may be published at a time', undefined, 200],
  ['more bytes than an arena has', 1024, 40],
])('calls wait their turn where there are %s', async (_, arenaBytes, count) => {
  const all = ranksHere(3, arenaBytes);
  const calls = Array.from({ length: count }, (_, call) =>
    all.map(({ rank, allGather }, index) =>
      allGather.call(all[index], new Float32Array(20 * rank).fill(call), [0, 20, 40], `call ${call}`),
    ),
  );
  for (const [call, results] of (await Promise.all(calls.map((each) => Promise.all(each)))).entries())
    for (const whole of results) expect(whole).toEqual(new Float32Array(60).fill(call));
});

test('what is too large for an arena fails on its rank, and so on all', async () => {
  const [first, second] = ranksHere(2, 64) as [ThreadCollectives, ThreadCollectives];
  const waiting = failureOf(() => first.broadcast(new Float32Array(17), 1, 'the news'));
  const error = await failureOf(() => second.broadcast(new Float32Array(17), 1, 'the news'));
  for (const each of [error, await waiting]) {
    expect(each.code).toBe('RANK_FAILED');
    expect(each.details).toMatchObject({ rank: 1, cause: expect.stringMatching(/^COLLECTIVE_TOO_LARGE: .* 68 bytes/) });
  }
});

test('a rank that asks for something else fails, and says what the other asked for', async () => {
  const [first, second] = ranksHere(2) as [ThreadCollectives, ThreadCollectives];
  const waiting = failureOf(() => first.barrier('the beginning'));
  const error = await failureOf(() => second.barrier('the end'));
  expect(error.details).toMatchObject({
    rank: 1,
    cause: expect.stringMatching(/the end.*rank 0 asked for the beginning/),
  });
  expect((await waiting).code).toBe('RANK_FAILED');
});
