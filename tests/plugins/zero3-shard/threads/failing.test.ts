import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { ranksProgram } from './support.ts';

test('threads end as one process, with the figures of one rank', async () => {
  const [one, two] = await Promise.all([run('none', 1, 'none'), run('none', 2, 'none')]);
  expect(one).toMatchObject({ code: 0, err: '' });
  expect(two).toMatchObject({ code: 0, err: '' });
  expect([...new Set(two.out.trim().split('\n'))]).toEqual([one.out.trim()]);
});

test.each([
  [
    'throws',
    /RANK_FAILED: Rank 1 failed: HOOK_FAILED: .*bravo is out of range\. .*waited for it \(the outputs of the pass/,
  ],
  ['exits', /RANK_FAILED: Rank 1 failed: it exited with code 3\./],
  ['throws later', /Rank 1 failed: bravo came late\./],
  ['never goes on', /RANK_FAILED: Rank 1 failed: it exited with code 13\./],
])('a rank that %s ends the others, which name it and why', async (fault, message) => {
  const { code, err, out } = await run(1, 2, fault);
  expect(err).toMatch(message);
  expect({ code, out }).toEqual({ code: 1, out: '' });
});

test.each([
  ['throws', 1, /HOOK_FAILED: .*bravo is out of range/],
  ['never goes on', 13, /RANK_FAILED: Rank 0 failed: its program ended before that of the others/],
])('a first rank that %s ends the process with its exit code', async (fault, exitCode, message) => {
  const { code, err, out } = await run(0, 3, fault);
  expect(err).toMatch(message);
  expect({ code, out }).toEqual({ code: exitCode, out: '' });
});

test('a rank that does not end by itself after another has failed is ended', async () => {
  const { code, err } = await run(0, 2, 'throws', 'runs on');
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringMatching(/bravo is out of range/) });
});

async function run(faulty: number | string, ranks: number, fault: string, othersFault = 'none') {
  const { entry, options } = ranksProgram('program.ts');
  const args = [...(options?.execArgv ?? []), fileURLToPath(entry), String(faulty), String(ranks), fault, othersFault];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { out, err, code };
}
