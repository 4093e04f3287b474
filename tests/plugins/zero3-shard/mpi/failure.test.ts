import { describe, expect, test } from '@jest/globals';
import { LaunchedRanks, launchCommand, launcher, skipped } from './launch.ts';

const purpose = 'gather alpha';

describe(`under ${launcher}`, () => {
  if (launchCommand === undefined) {
    test.skip(skipped, () => undefined);
    return;
  }

  test('ends with exit code 0 when all ranks come to their end, one after the other', async () => {
    const all = await LaunchedRanks.launch(2);
    all.tell({ kind: 'end' }, [1]);
    all.tell({ kind: 'end' }, [0]);
    expect(await all.end()).toBe(0);
  });

  test('a rank that throws ends the others, which name it and wait no longer', async () => {
    const all = await LaunchedRanks.launch(3);
    all.tell({ kind: 'meet', of: purpose }, [0, 2]);
    all.tell({ kind: 'throw', message: 'out of paper' }, [1]);
    expect(await all.end()).not.toBe(0);
    expect(all.output).toContain('out of paper');
    expect(all.output).toMatch(/Rank 1 failed: out of paper/);
    expect(all.output).toContain(purpose);
  });

  test('a rank whose program ends early ends those that wait for it', async () => {
    const all = await LaunchedRanks.launch(3);
    all.tell({ kind: 'end' }, [1]);
    all.tell({ kind: 'meet', of: purpose }, [0, 2]);
    expect(await all.end()).not.toBe(0);
    expect(all.output).toMatch(/Rank 1 failed: its program ended before that of the others/);
  });

  test('a rank that is killed ends the others', async () => {
    const all = await LaunchedRanks.launch(3);
    all.tell({ kind: 'meet', of: purpose }, [0, 2]);
    all.tell({ kind: 'kill' }, [1]);
    expect(await all.end()).not.toBe(0);
    expect(all.output).toMatch(/signal 9|KILLED BY|exit code: 9|EXIT CODE: 9/i);
  });

  test('a rank that never reacts is ended once another has failed', async () => {
    const all = await LaunchedRanks.launch(2);
    all.tell({ kind: 'spin' }, [0]);
    all.tell({ kind: 'throw', message: 'out of paper' }, [1]);
    expect(await all.end()).not.toBe(0);
    expect(all.output).toMatch(/Rank 1 failed \(out of paper\). Not all ranks ended/);
  });

  test('who waits long says for what and for whom, and goes on when they come', async () => {
    const all = await LaunchedRanks.launch(3, [1000, 100]);
    all.tell({ kind: 'meet', of: purpose }, [0, 2]);
    await all.until(0, ({ warning }) => /waiting for rank 1 for .* in gather alpha/.test(String(warning)));
    all.tell({ kind: 'meet', of: purpose }, [1]);
    for (const rank of [0, 1, 2]) await all.until(rank, ({ met }) => met === purpose);
    all.tell({ kind: 'end' });
    expect(await all.end()).toBe(0);
  });

  test('what MPI says against a call comes in its words', async () => {
    const all = await LaunchedRanks.launch(1);
    const call = { kind: 'broadcast', data: 'bytes', sizes: [1], reduction: 'sum', root: 99, seed: 0 } as const;
    all.tell({ kind: 'perform', script: { calls: [call] } });
    const details = { call: 'MPI_Ibcast', library: launcher, reason: expect.stringMatching(/root/i) };
    expect(await all.next(0)).toEqual({ answers: [{ code: 'MPI_FAILED', details }] });
    all.tell({ kind: 'end' });
    expect(await all.end()).toBe(0);
  });

  test('ranks that do different things are told so, rather than wait for ever', async () => {
    const all = await LaunchedRanks.launch(2, [1000, 100]);
    all.tell({ kind: 'meet', of: purpose }, [1]);
    all.tell({ kind: 'hear', of: 'gather bravo' }, [0]);
    expect(await all.end()).not.toBe(0);
    expect(all.output).toMatch(/it asked for "gather (alpha|bravo)" where rank [01] asked for "gather (alpha|bravo)"/);
  });
});
