import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '..');
const sources = (folder: string) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(folder, name));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const lines = (file: string) => read(file).trimEnd().split('\n').length;
const importsOf = (file: string) => [...read(file).matchAll(/^(import|export)\s[^;]*?from '([^']+)'/gms)];

const kernel = [
  ...['trainer', 'lifecycle', 'plugin', 'container', 'tokens', 'errors', 'ledger', 'assembly'].map(
    (name) => `core/${name}.ts`,
  ),
  ...sources('core/hooks'),
];

test('core/ imports nothing from plugins/', () => {
  const offenders = sources('core').filter((file) =>
    importsOf(file).some(([, , from]) => /plugins\//.test(from as string)),
  );
  expect(offenders).toEqual([]);
});

test('a plugin imports no other plugin, and of the core only what everybody can import', () => {
  const plugins = sources('plugins').filter((file) => file.split(path.sep).length > 2);
  const offenders = plugins.filter((file) =>
    importsOf(file).some(([, , from = '']) => {
      if (!from.startsWith('.')) return from.startsWith('mooring/plugins');
      const folder = file.split(path.sep).slice(0, 2).join(path.sep);
      return !path.join(path.dirname(file), from).startsWith(folder + path.sep);
    }),
  );
  expect(offenders).toEqual([]);
});

test('the kernel imports no engine, and tensors only as types', () => {
  const offenders = kernel.flatMap((file) =>
    importsOf(file)
      .filter(
        ([statement, , from = '']) => (/\/engine\//.test(from) || /tfjs/.test(from)) && !/^import type/.test(statement),
      )
      .map(([statement]) => `${file}: ${statement}`),
  );
  expect(offenders).toEqual([]);
});

test('the compiler stays under 600 lines', () => {
  expect(sources('core/engine/compile').reduce((sum, file) => sum + lines(file), 0)).toBeLessThan(600);
});

test('the trainer stays on a page, the kernel readable in a sitting, and every file short', () => {
  expect(lines('core/trainer.ts')).toBeLessThan(120);
  expect(kernel.reduce((sum, file) => sum + lines(file), 0)).toBeLessThanOrEqual(1500);
  expect([...sources('core'), ...sources('plugins')].filter((file) => lines(file) > 300)).toEqual([]);
});

/** Not errors for people: the script that proves an engine in a process of its own, and a signal that reader.ts turns into one. */
const signals = ['core/engine/install/prove.ts', 'core/parameters/safetensors/dtype.ts'];

test('errors are made from tables, nowhere inline', () => {
  const offenders = [...sources('core'), ...sources('plugins')].filter(
    (file) =>
      ![...signals, 'core/errors.ts'].includes(file) &&
      /new Error\(|throw new (?!MooringError)|throw new MooringError\('/.test(read(file)),
  );
  expect(offenders).toEqual([]);
});
