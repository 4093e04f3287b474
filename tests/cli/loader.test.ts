import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../..');
const register = pathToFileURL(path.join(root, 'core/cli/register.js')).href;
const home = mkdtempSync(path.join(tmpdir(), 'mooring-loader-'));
const run = (name: string, text: string) => {
  writeFileSync(path.join(home, name), text);
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', register, name], { cwd: home, encoding: 'utf8' });
  return { out: stdout, err: stderr };
};
afterAll(() => rmSync(home, { recursive: true }));

test('a program outside the repository imports TypeScript, the one copy of mooring, and its dependencies', () => {
  mkdirSync(path.join(home, 'node_modules/mooring'), { recursive: true });
  writeFileSync(path.join(home, 'node_modules/mooring/index.js'), 'throw new Error("another copy");');
  const { out, err } = run(
    'program.ts',
    `import { MooringError } from 'mooring';
import { toy } from 'mooring/testing';
import { dpo } from 'mooring/plugins/dpo';
import { z } from 'zod';
type Named = { readonly name: string };
const named: Named = toy.definition;
const ours = await import(${JSON.stringify(pathToFileURL(path.join(root, 'core/errors.ts')).href)});
console.log(named.name, dpo.definition.name, typeof z.strictObject, ours.MooringError === MooringError);`,
  );
  expect({ out, err }).toEqual({ out: 'toy dpo function true\n', err: '' });
});

test('stacks name the lines of the source', () => {
  const { err } = run(
    'lines.ts',
    '\ninterface Erased {\n  readonly one: number;\n}\n\nthrow new Error(`on line 6`);\n',
  );
  expect(err).toContain('lines.ts:6:7');
});

test('a worker thread imports TypeScript too', () => {
  writeFileSync(
    path.join(home, 'job.ts'),
    `import { parentPort } from 'node:worker_threads';
import { hookNames } from 'mooring';
parentPort?.postMessage(hookNames.length satisfies number);`,
  );
  const { out, err } = run(
    'boss.ts',
    `import { Worker } from 'node:worker_threads';
const bootstrap = "import('${register}').then(() => import('./job.ts'))";
new Worker(bootstrap, { eval: true }).on('message', (count: number) => console.log(count > 20));`,
  );
  expect({ out, err }).toEqual({ out: 'true\n', err: '' });
});

test('what is not there is told as Node tells it', () => {
  const { err } = run('absent.ts', `import 'no-such-package';`);
  expect(err).toContain("Cannot find package 'no-such-package' imported from");
  expect(err).toContain('absent.ts');
});
