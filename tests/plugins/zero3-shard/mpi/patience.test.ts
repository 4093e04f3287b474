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
