import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
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

test.each([
  [
    'one rank, then by two',
    'none',
    /RANK_FAILED: Rank 1 failed: .*Rank 1 of 2, which all run this program/,
    ['run 1: 0 of 1'],
  ],
  ['two ranks, then by one', '2', /RUN_REPEATED: Rank 0 of 2/, ['run 1: 0 of 2', 'run 1: 1 of 2']],
])('a program that trains by %s ends, and no rank repeats what is of one', async (_, first, message, trained) => {
  const second = first === 'none' ? '2' : 'none';
  const lines = path.join(mkdtempSync(path.join(tmpdir(), 'mooring-two-runs-')), 'lines');
  const { code, err } = await start('two-runs.ts', lines, first, second);
  expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(message) });
  expect(readFileSync(lines, 'utf8').trimEnd().split('\n').sort()).toEqual(trained);
});

function run(faulty: number | string, ranks: number, fault: string, othersFault = 'none') {
  return start('program.ts', String(faulty), String(ranks), fault, othersFault);
}

async function start(program: string, ...argv: string[]) {
  const { entry, options } = ranksProgram(program);
  const args = [...(options?.execArgv ?? []), fileURLToPath(entry), ...argv];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { out, err, code };
}
