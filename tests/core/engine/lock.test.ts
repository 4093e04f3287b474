import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { withLock } from '../../../core/engine/install/lock.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mooring-'));
  path = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

const leave = (holder: object) => writeFileSync(path, JSON.stringify({ id: 'earlier', host: hostname(), ...holder }));

test('lets many in one at a time, and leaves nothing behind', async () => {
  let inside = 0;
  const order: number[] = [];
  const work = (index: number) =>
    withLock(path, async () => {
      expect(++inside).toBe(1);
      await Promise.resolve();
      order.push(index);
      inside--;
    });
  await Promise.all([0, 1, 2, 3].map(work));
  expect(order.sort()).toEqual([0, 1, 2, 3]);
  expect(readdirSync(folder)).toEqual([]);
});

test('is released when the work fails', async () => {
  const failing = withLock(path, () => Promise.reject(new RangeError('alpha')));
  await expect(failing).rejects.toThrow('alpha');
  expect(readdirSync(folder)).toEqual([]);
});

test('is taken over, once, from a process that has ended', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  leave({ pid, began: '1' });
  let inside = 0;
  const work = () => withLock(path, async () => expect(++inside).toBe(1)).finally(() => inside--);
  await Promise.all([work(), work(), work()]);
  expect(readdirSync(folder)).toEqual([]);
});

test('is taken over when its process number belongs to another process now', async () => {
  leave({ pid: process.pid, began: 'long ago' });
  await expect(withLock(path, async () => 'bravo')).resolves.toBe('bravo');
});

test('is waited for while its holder lives, which is told once', async () => {
  const told: number[] = [];
  let release = () => {};
  const held = withLock(
    path,
    () =>
      new Promise<void>((resolve) => {
        release = resolve;
      }),
  );
  const second = withLock(
    path,
    async () => 'charlie',
    (pid) => {
      told.push(pid);
      release();
    },
  );
  await expect(second).resolves.toBe('charlie');
  await held;
  expect(told).toEqual([process.pid]);
});

test('of another machine is respected', async () => {
  leave({ host: 'another-machine', pid: 1, began: '1' });
  const asked = withLock(
    path,
    async () => 'delta',
    () => rmSync(path),
  );
  await expect(asked).resolves.toBe('delta');
  expect(() => readFileSync(path)).toThrow('ENOENT');
});
