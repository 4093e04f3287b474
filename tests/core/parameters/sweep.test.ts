import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { toyRun } from 'mooring/testing';
import { type AsideKind, asideName, forget, leftover } from '../../../core/parameters/aside-name.ts';
import { sweep } from '../../../core/parameters/sweep.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../../core/parameters/temporary-folder.ts';

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

test('what is temporary is made where that of dead processes goes, and nothing else', async () => {
  const home = folder();
  const named = (kind: AsideKind) => asideName(path.join(home, '.copy'), kind);
  const kept = [of(String(process.ppid), named('temporary')), of(dead(), named('partial'))];
  for (const file of [of(dead(), named('temporary')), ...kept]) mkdirSync(file);
  const made = await makeTemporaryFolder(home, '.copy');
  expect(readdirSync(home).sort()).toEqual([made, ...kept].map((file) => path.basename(file)).sort());
  removeTemporaryFolder(made);
  expect(readdirSync(home)).toHaveLength(2);
});

test('what another thread of this process has made for as long as it runs stays', async () => {
  const home = folder();
  const made = await makeTemporaryFolder(home, '.copy');
  forget(made); // threads do not know of each other what is in use
  const second = await makeTemporaryFolder(home, '.copy');
  expect(readdirSync(home).sort()).toEqual([made, second].map((file) => path.basename(file)).sort());
});

const apart = ['unshare', '--fork', '--pid', '--mount-proc', process.execPath];
const isPossible = spawnSync(apart[0] as string, [...apart.slice(1), '-e', '']).status === 0;
const tried = isPossible ? test : test.skip;

tried.each([
  ['temporary', []],
  ['partial', ['out']],
] as const)(
  'of a container with our name, whose processes we do not see, a sweep takes what is %s: %j',
  (kind, swept) => {
    const home = folder();
    const module = new URL('../../../core/parameters/aside-name.ts', import.meta.url);
    const source = `import { asideName } from '${module}'; console.log(asideName('${home}/out', '${kind}'));`;
    const program = ['--import', import.meta.resolve('mooring/register'), '--input-type=module', '--eval', source];
    const name = String(spawnSync(apart[0] as string, [...apart.slice(1), ...program]).stdout).trim();
    const found = leftover(name.replace(/-\d+-/, `-${dead()}-`));
    expect(found === undefined ? [] : [path.basename(found.target)]).toEqual(swept);
  },
);

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
