import { afterAll, expect, test } from '@jest/globals';
import { LaunchedRanks, launchCommand, launcher, skipped } from './launch.ts';
import { createTwoHosts } from './two-hosts.ts';

const isHere = launchCommand !== undefined && launcher === 'Open MPI';
const hosts = isHere ? createTwoHosts() : 'it is not made';
afterAll(() => {
  if (typeof hosts !== 'string') hosts.remove();
});

const command = launchCommand;
if (command === undefined) test.skip(skipped, () => undefined);
else if (launcher !== 'Open MPI') test.skip('skipped: MPICH 4.0 over TCP hangs in MPI_Finalize', () => undefined);
else if (typeof hosts === 'string') test.skip(`skipped: ${hosts}`, () => undefined);
else {
  test('ranks on two hosts give what one rank gives, and what they say crosses the network', async () => {
    const ranks = await LaunchedRanks.launch(2, [], [...hosts.on, ...command, ...hosts.options]);
    const before = hosts.bytesSent();
    const sizes = [50_000, 30_000];
    const kinds = ['allGather', 'reduceScatter', 'allReduce', 'broadcast'] as const;
    const calls = kinds.map((kind, seed) => {
      return { kind, data: 'float32', sizes, reduction: 'sum', root: 0, seed } as const;
    });
    ranks.tell({ kind: 'perform', script: { calls } });
    for (const rank of [0, 1])
      expect(await ranks.next(rank)).toEqual({ answers: calls.map(() => ({ difference: '' })) });
    // the first host's part, what the second sums, half of the sums each way, and all that is broadcast
    const words = 50_000 + 30_000 + 2 * 25_000 + 50_000;
    const sent = hosts.bytesSent() - before;
    expect(sent).toBeGreaterThan(4 * words);
    expect(sent).toBeLessThan(1.2 * 4 * words);
    ranks.tell({ kind: 'end' });
    expect(await ranks.end()).toBe(0);
  });
}
