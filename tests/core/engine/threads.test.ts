import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readInstalled } from '../../../core/engine/install/cache.ts';

const onNative = readInstalled() === undefined ? test.skip : test;
const root = join(import.meta.dirname, '../../..');

onNative('threads of one process may give operations new attributes at the same time', () => {
  const program = join(import.meta.dirname, 'attribute-names.ts');
  const { status, signal } = spawnSync(process.execPath, ['--import', './core/cli/register.js', program], {
    cwd: root,
    stdio: 'ignore',
    timeout: 60_000,
  });
  expect({ status, signal }).toEqual({ status: 0, signal: null });
});
