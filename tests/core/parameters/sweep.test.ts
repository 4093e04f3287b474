import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { toyRun } from 'mooring/testing';
import { asideName, forget } from '../../../core/parameters/aside-name.ts';
import { sweep } from '../../../core/parameters/sweep.ts';

const folder = () => mkdtempSync(path.join(tmpdir(), 'mooring-sweep-'));
/** The id of a process that has ended. */
const dead = () => String(spawnSync(process.execPath, ['-e', '']).pid);
const of = (id: string, name: string) => name.replace(`-${process.pid}-`, `-${id}-`);

test('what a dead process half wrote goes, and what had stepped aside for it comes back', async () => {
  const home = folder();
  const id = dead();
  mkdirSync(of(id, asideName(path.join(home, 'model'), 'partial')));
  const replaced = of(id, asideName(path.join(home, 'model'), 'replaced'));
  mkdirSync(replaced);
  writeFileSync(path.join(replaced, 'weights'), 'old');
  expect(await sweep(home)).toHaveLength(2);
  expect(readdirSync(home)).toEqual(['model']);
  expect(readFileSync(path.join(home, 'model', 'weights'), 'utf8')).toBe('old');
});

test('what was replaced goes where its replacement came', async () => {
  const home = folder();
  writeFileSync(path.join(home, 'model'), 'new');
  writeFileSync(of(dead(), asideName(path.join(home, 'model'), 'replaced')), 'old');
  await sweep(home);
  expect(readdirSync(home)).toEqual(['model']);
  expect(readFileSync(path.join(home, 'model'), 'utf8')).toBe('new');
});

test('what a living process writes stays, here or elsewhere, and so does what is not ours', async () => {
  const home = folder();
  const own = asideName(path.join(home, 'own'), 'partial');
  const parents = of(String(process.ppid), asideName(path.join(home, 'living'), 'partial'));
  const abroad = of(dead(), asideName(path.join(home, 'abroad'), 'partial')).replace(/\.[0-9a-f]{6}-/, '.zzzzzz-');
  const foreign = path.join(home, 'download.partial');
  for (const file of [own, parents, abroad, foreign]) writeFileSync(file, '');
  expect(await sweep(home)).toEqual([]);
  expect(readdirSync(home)).toHaveLength(4);
  forget(own); // as an earlier process of the same id would have left it
  expect(await sweep(home)).toEqual([path.basename(own)]);
});

test('a run sweeps its output and its checkpoints when it begins, and says so', async () => {
  const home = folder();
  mkdirSync(path.join(home, 'checkpoints'));
  const left = [path.join(home, 'model'), path.join(home, 'checkpoints', 'step-1')];
  for (const target of left) writeFileSync(of(dead(), asideName(target, 'partial')), '');
  const { trainer, logged } = toyRun([], { steps: 1 }, home);
  await trainer.train();
  expect(logged.map(({ message }) => message).join()).toMatch(/2 leftovers of runs that were killed/);
  expect([readdirSync(home), readdirSync(path.join(home, 'checkpoints'))]).toEqual([['checkpoints'], []]);
  expect(existsSync(path.join(home, 'absent'))).toBe(false);
  expect(await sweep(path.join(home, 'absent'))).toEqual([]);
});
