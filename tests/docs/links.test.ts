import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { readRunFile } from '../../core/cli/run-file.ts';

const root = path.resolve(import.meta.dirname, '../..');
const pages = ['README.md', ...['docs', 'plugins', 'examples', 'tests/bench'].flatMap(markdownIn)];
const read = (page: string) => readFileSync(path.join(root, page), 'utf8');

function markdownIn(folder: string): string[] {
  const names = readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.md')).map((name) => path.join(folder, name));
}

test('every link to a file leads to one', () => {
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)#:]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(path.join(root, path.dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  expect(broken).toEqual([]);
});

test('every plugin has its page, in the agreed order', () => {
  const plugins = readdirSync(path.join(root, 'plugins'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  for (const { name } of plugins) {
    const titles = [...read(`plugins/${name}/README.md`).matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    const wanted = ['When not to use it', 'Options', 'Hooks', 'In checkpoints', 'Conflicts', 'Cost'];
    expect({ name, titles: titles.filter((title) => wanted.includes(String(title))) }).toEqual({
      name,
      titles: wanted,
    });
  }
});

test('every run file in the docs is one', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-docs-'));
  const blocks = pages.flatMap((page) => [...read(page).matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text));
  expect(blocks.length).toBeGreaterThan(0);
  for (const text of blocks.filter((each) => each.includes('model:'))) {
    writeFileSync(path.join(folder, 'run.yaml'), text);
    expect((await readRunFile(path.join(folder, 'run.yaml'))).plugins.length).toBeGreaterThan(0);
  }
});
