import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { CacheFolder } from '../../../plugins/ref-cache/cache-folder.ts';
import { recordOf } from './appendRecords.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const folders = mkdtempSync(path.join(tmpdir(), 'mooring-processes-'));
afterAll(() => rmSync(folders, { recursive: true }));
const folder = () => mkdtempSync(path.join(folders, 'cache-'));

/** Appends in a process of its own; with `killAfter`, kill -9 as soon as it has said that it wrote so many. Resolves to what it had said. */
function append(directory: string, [first, last]: readonly [number, number], killAfter = Infinity): Promise<number> {
  const script = 'tests/plugins/ref-cache/appendRecords.ts';
  const child = spawn(
    process.execPath,
    ['--import', './core/cli/register.js', script, directory, String(first), String(last)],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = first;
  child.stdout.on('data', (text: Buffer) => {
    said = Math.max(said, ...String(text).trim().split('\n').map(Number));
    if (said >= killAfter) child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(said));
  });
}

/** Numbers below `last` whose record is there; every one that is has its own values. */
function found(directory: string, last: number): number[] {
  const cache = new CacheFolder(directory);
  const numbers = Array.from({ length: last }, (_, number) => number).filter((number) => {
    const { key, values } = recordOf(number);
    const there = cache.read(key);
    if (there !== undefined && Buffer.compare(bytesOf(there), bytesOf(values)) !== 0)
      throw new Error(`record ${number}`);
    return there !== undefined;
  });
  cache.close();
  return numbers;
}

function bytesOf({ buffer }: Float32Array): Uint8Array {
  return new Uint8Array(buffer);
}

describe('processes that share a cache', () => {
  it('write what they like at the same time, and each record is whole', async () => {
    const directory = folder();
    await Promise.all([append(directory, [0, 1200]), append(directory, [800, 2000])]);
    expect(found(directory, 2000)).toHaveLength(2000);
    expect(readdirSync(directory)).toHaveLength(2);
  });

  it('killed while one writes, lose nothing that was written, and the next goes on', async () => {
    const directory = folder();
    let next = 0;
    for (const killAfter of [4, 500]) {
      const said = await append(directory, [next, 100_000], next + killAfter);
      const there = found(directory, said + 4000);
      expect(there.slice(0, said)).toEqual(Array.from({ length: said }, (_, number) => number));
      next = there.length - (there.length % 4);
    }
  });
});
