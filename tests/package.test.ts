import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '..');
const home = mkdtempSync(path.join(tmpdir(), 'mooring-package-'));
const modules = path.join(home, 'node_modules');
const run = (command: string, args: readonly string[], cwd = home) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  expect({ status, told: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, told: '' });
  return stdout;
};
const write = (name: string, text: string) => writeFileSync(path.join(home, name), text);

/** What an install without network would do: unpack the tarball, and put its dependencies beside it. */
beforeAll(() => {
  run('npm', ['run', '--silent', 'build'], root);
  run('npm', ['pack', '--silent', '--pack-destination', home], root);
  mkdirSync(path.join(modules, '.bin'), { recursive: true });
  for (const name of readdirSync(path.join(root, 'node_modules')).filter((each) => !each.startsWith('.'))) {
    symlinkSync(path.join(root, 'node_modules', name), path.join(modules, name));
  }
  mkdirSync(path.join(modules, 'mooring'));
  const [tarball = ''] = readdirSync(home).filter((name) => name.endsWith('.tgz'));
  run('tar', ['-xzf', tarball, '-C', path.join(modules, 'mooring'), '--strip-components=1']);
  symlinkSync('../mooring/core/cli/mooring.js', path.join(modules, '.bin/mooring'));
  write('package.json', '{ "name": "somebody", "type": "module" }');
}, 120_000);

afterAll(() => rmSync(home, { recursive: true }));

test('mooring and its parts are imported from another package, and train there', () => {
  write(
    'train.js',
    `import { createTrainer } from 'mooring';
import { defaults } from 'mooring/plugins';
import { dpo } from 'mooring/plugins/dpo';
import { toy } from 'mooring/testing';
const trainer = createTrainer({ model: 'toy', train: { engine: 'cpu', steps: 2 } }).use(toy());
const { steps } = await trainer.train();
console.log(JSON.stringify({ steps, dpo: dpo.definition.name, defaults: defaults().length }));`,
  );
  expect(JSON.parse(run('node', ['train.js']))).toEqual({ steps: 2, dpo: 'dpo', defaults: 5 });
});

test('the command line runs there, with a TypeScript plugin by path and one by package name', () => {
  expect(run('npx', ['--no-install', 'mooring', '--help'])).toContain('train');
  write(
    'mine.ts',
    `import { definePlugin } from 'mooring';
import { hello } from './hello.js';
export const mine = definePlugin({
  name: 'mine',
  apiVersion: 1,
  apply({ hooks, log }) {
    hooks.stepEnd.tap(({ step }): undefined => log.info({}, hello(step.index)) as undefined);
  },
});`,
  );
  write('hello.ts', `export const hello = (step: number): string => \`hello from step \${step}\`;`);
  mkdirSync(path.join(modules, 'mooring-plugin-pause'));
  const packaged = `import { definePlugin } from 'mooring';
export default definePlugin({ name: 'pause', apiVersion: 1, apply() {} });`;
  write('node_modules/mooring-plugin-pause/index.js', packaged);
  write(
    'node_modules/mooring-plugin-pause/package.json',
    '{ "name": "mooring-plugin-pause", "type": "module", "exports": { "import": "./index.js" } }',
  );
  write(
    'run.yaml',
    `model: toy
train: { engine: cpu, steps: 2 }
plugins:
  - causal-lm: false
  - tokenizer: false
  - preference-data: false
  - mooring/testing
  - mooring-plugin-pause
  - ./mine.ts
`,
  );
  const plan = JSON.parse(run('npx', ['--no-install', 'mooring', 'explain', 'run.yaml', '--json']));
  expect(plan.plugins.map((plugin: { name: string }) => plugin.name)).toEqual([
    'core',
    'metrics',
    'progress',
    'toy',
    'pause',
    'mine',
  ]);
  const trained = run('sh', ['-c', 'npx --no-install mooring train run.yaml 2>&1']);
  expect(trained).toContain('hello from step 2');
  expect(trained).toContain('Trained 2 steps');
});

test('its types are those of the source', () => {
  write(
    'typed.ts',
    `import { createTrainer, definePlugin, Reference, optional } from 'mooring';
import { dpo } from 'mooring/plugins/dpo';
export const spy = definePlugin({
  name: 'spy',
  apiVersion: 1,
  uses: { reference: optional(Reference) },
  apply({ hooks, services }) {
    hooks.stepEnd.tap(({ record }) => {
      const loss: number | undefined = record.loss;
      const kind: string | undefined = services.reference?.kind;
      return void [loss, kind];
    });
  },
});
createTrainer({ model: 'm' }).use(spy(), dpo({ beta: 0.1 }));
// @ts-expect-error: the option is beta
dpo({ betta: 0.1 });
// @ts-expect-error: the key is model
createTrainer({ modle: 'm' });`,
  );
  const options = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--skipLibCheck', '--noEmit'];
  const types = ['--types', 'node', '--typeRoots', path.join(root, 'node_modules/@types')];
  expect(run('node', [path.join(root, 'node_modules/typescript/bin/tsc'), ...options, ...types, 'typed.ts'])).toBe('');
});
