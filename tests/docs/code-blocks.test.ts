import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';

const root = path.resolve(import.meta.dirname, '../..');
const pages = ['README.md', ...['docs', 'plugins', 'examples', 'tests/bench'].flatMap(markdownIn)];
const blocks = pages.flatMap((page) =>
  [...readFileSync(path.join(root, page), 'utf8').matchAll(/^```(\w+)\n(.*?)^```/gms)].map(
    ([, language = '', text = '']) => ({ page, language, text }),
  ),
);
const inLanguage = (...languages: string[]) => blocks.filter(({ language }) => languages.includes(language));

// within the project, so that `mooring` resolves; the dot keeps it out of everybody else's sight
mkdirSync(path.join(root, 'runs'), { recursive: true });
const folder = mkdtempSync(path.join(root, 'runs', '.code-blocks-'));
afterAll(() => rmSync(folder, { recursive: true }));

function markdownIn(name: string): string[] {
  const names = readdirSync(path.join(root, name), { recursive: true, encoding: 'utf8' });
  return names.filter((each) => each.endsWith('.md')).map((each) => path.join(name, each));
}

test('every block says which language it is in', () => {
  const known = ['ts', 'yaml', 'json', 'jsonl', 'sh', 'text', 'python'];
  expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([]);
  expect(inLanguage('ts').length).toBeGreaterThan(1);
});

test('every TypeScript block compiles as it stands', () => {
  const files = inLanguage('ts').map(({ text }, index) => {
    writeFileSync(path.join(folder, `block${index}.ts`), text.includes('import ') ? text : `${text}\nexport {};\n`);
    return `block${index}.ts`;
  });
  const compilerOptions = { noUnusedLocals: false };
  writeFileSync(
    path.join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, files, include: [] }),
  );
  const compiled = run('node_modules/typescript/bin/tsc', '-p', folder);
  expect(compiled.stdout).toBe('');
  expect(compiled.status).toBe(0);
});

test('the plugin of the README runs, and warns as it says', () => {
  const example = inLanguage('ts').find(({ page, text }) => page === 'README.md' && text.includes('definePlugin'));
  writeFileSync(path.join(folder, 'loss-watch.ts'), example?.text ?? '');
  writeFileSync(
    path.join(folder, 'try.ts'),
    `import { toyRun } from 'mooring/testing';
     import { lossWatch } from './loss-watch.ts';
     const { trainer, logged } = toyRun([lossWatch({ above: 2 })]);
     await trainer.train();
     console.log(logged.filter(({ level }) => level === 'warn').map(({ message }) => message).join('\\n'));`,
  );
  const tried = run('--import', './core/cli/register.js', path.join(folder, 'try.ts'));
  expect({ stderr: tried.stderr, status: tried.status }).toEqual({ stderr: '', status: 0 });
  expect(tried.stdout).toMatch(/^the loss is 2\.\d+ against the reference undefined/);
});

test('every YAML, JSON and JSONL block is well-formed', () => {
  for (const { text } of inLanguage('yaml')) expect(parse(text)).toEqual(expect.anything());
  for (const { text } of inLanguage('json', 'jsonl')) {
    for (const line of text.trim().split('\n')) expect(JSON.parse(line)).toEqual(expect.anything());
  }
});

function run(...args: string[]) {
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
}
