import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { hookNames } from 'mooring';
import { generated } from '../../docs/generate.ts';
import { readErrorTables } from '../../docs/render.ts';

const root = path.resolve(import.meta.dirname, '../..');

test('generated files say what the code says: run `npm run docs` after a change', async () => {
  for (const [file, text] of Object.entries(await generated())) {
    expect({ file, text: readFileSync(path.join(root, file), 'utf8') }).toEqual({ file, text });
  }
});

test('every hook stands in docs/hooks.md and docs/lifecycle.md', () => {
  for (const file of ['docs/hooks.md', 'docs/lifecycle.md']) {
    const text = readFileSync(path.join(root, file), 'utf8');
    expect(hookNames.filter((name) => !text.includes(name))).toEqual([]);
  }
});

test('every error code belongs to one table, and every text ends as a sentence', async () => {
  const codes = Object.values(await readErrorTables()).flatMap((table) => Object.entries(table));
  expect(codes.length).toBeGreaterThan(80);
  expect(codes.filter(([code], at) => codes.findIndex(([other]) => other === code) !== at)).toEqual([]);
  const unfinished = codes.filter(([, entry]) =>
    [entry.fact, entry.consequence, entry.remedy].some((text) => !/[.?}]$/.test(text)),
  );
  expect(unfinished.map(([code]) => code)).toEqual([]);
});
