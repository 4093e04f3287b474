import { expect, test } from '@jest/globals';
import { Patience } from '../../../../plugins/zero3-shard/mpi/patience.ts';
import { slowAfterMilliseconds } from '../../../../plugins/zero3-shard/say-who-is-slow.ts';

test('says who is missing at the times at which threads do, having asked them shortly before', () => {
  const patience = new Patience(slowAfterMilliseconds, 3, 1, 0);
  patience.isThere(2);
  const done = Array.from({ length: 200 }, (_, index) => ({ at: index / 2, ...patience.next(500 * index) }));
  const asked = done.filter(({ ask }) => ask.length > 0);
  const said = done.flatMap(({ report }) => (report === undefined ? [] : [report]));
  expect(said).toEqual([10, 20, 40, 80].map((seconds) => ({ seconds, missing: [0] })));
  expect(asked.map(({ at, ask }) => [at, ask])).toEqual([9.5, 18.5, 36.5, 72.5].map((at) => [at, [0]]));
});

test('says once what it is late with', () => {
  const patience = new Patience(slowAfterMilliseconds, 2, 0, 0);
  const said = [9_500, 50_000, 50_001, 50_002, 79_000, 80_000].map((at) => patience.next(at).report?.seconds);
  expect(said).toEqual([undefined, 50, undefined, undefined, undefined, 80]);
});
