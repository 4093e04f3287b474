import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { writeFileAside } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from './support.ts';

const folder = () => mkdtempSync(path.join(tmpdir(), 'mooring-export-'));
const root = path.resolve(import.meta.dirname, '../..');
const writer = plugin('writer', ({ hooks }) => {
  hooks.export.tap(({ directory }) => writeFileSync(path.join(directory, 'model'), 'new'));
});

test('a process that dies while it exports leaves the old folder whole, and a later run replaces it', async () => {
  const output = folder();
  writeFileSync(path.join(output, 'model'), 'old');
  const child = spawnSync(
    process.execPath,
    ['--import', './core/cli/register.js', 'tests/core/exportAndDie.ts', output],
    { cwd: root, encoding: 'utf8' },
  );
  expect({ signal: child.signal, stderr: child.stderr }).toEqual({ signal: 'SIGKILL', stderr: '' });
  expect(readFileSync(path.join(output, 'model'), 'utf8')).toBe('old');
  await toyRun([writer], { steps: 1 }, output).trainer.train();
  expect(readFileSync(path.join(output, 'model'), 'utf8')).toBe('new');
});

test('a full disk is named, the plugin that met it too, and nothing is half-written', async () => {
  const output = folder();
  writeFileSync(path.join(output, 'model'), 'old');
  const full = Object.assign(new TypeError('no space left on device'), { code: 'ENOSPC' });
  const unlucky = plugin('unlucky', ({ hooks }) => {
    hooks.export.tap(({ directory }) =>
      writeFileAside(path.join(directory, 'model'), async (handle) => {
        await handle.write('half');
        throw full;
      }),
    );
  });
  const error = await failureOf(() => toyRun([unlucky], { steps: 1 }, output).trainer.train());
  expect(error.code).toBe('DISK_FULL');
  expect(error.place).toMatchObject({ plugin: 'unlucky', hook: 'export' });
  expect(readdirSync(output)).toEqual(['model']);
  expect(readFileSync(path.join(output, 'model'), 'utf8')).toBe('old');
});

test('an output that cannot be a folder is named', async () => {
  const output = path.join(folder(), 'taken');
  writeFileSync(output, '');
  const error = await failureOf(() => toyRun([writer], { steps: 1 }, output).trainer.train());
  expect(error.code).toBe('WRITE_FAILED');
  expect(error.message).toContain(output);
});

test('a last-good export that fails is told in the error of the step, and does not take its place', async () => {
  const output = folder();
  const doomed = plugin('doomed', ({ hooks }) => {
    hooks.gradient.tap((gradient) => gradient.mul(Number.NaN));
    hooks.export.tap(() => {
      throw new TypeError('no ink');
    });
  });
  const error = await failureOf(() => toyRun([doomed], {}, output).trainer.train());
  expect(error.code).toBe('NON_FINITE_LOSS');
  expect(error.message).toMatch(/Saving the weights of step 0 failed as well: .*no ink/);
  expect(existsSync(path.join(output, 'model'))).toBe(false);
});
