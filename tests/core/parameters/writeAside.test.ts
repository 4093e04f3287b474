import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, jest, test } from '@jest/globals';
import { writeFileAside, writeFolderAside, writeSafetensors } from 'mooring';
import { failureOf } from '../support.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'mooring-aside-'));
});

test('replaces a file only when the new one is whole', async () => {
  const target = path.join(home, 'figures.json');
  writeFileSync(target, 'old');
  await writeFileAside(target, async (handle) => {
    await handle.writeFile('new');
    expect(readFileSync(target, 'utf8')).toBe('old');
  });
  expect(readFileSync(target, 'utf8')).toBe('new');
  expect(readdirSync(home)).toEqual(['figures.json']);
});

test('replaces a folder whole: what only the old one held is gone', async () => {
  const target = path.join(home, 'model');
  for (const name of ['old.json', 'new.json']) {
    await writeFolderAside(target, (temporary) => writeFile(path.join(temporary, name), name));
    expect(readdirSync(target)).toEqual([name]);
  }
  expect(readdirSync(home)).toEqual(['model']);
});

test('keeps the old folder when the new one fails, and passes on what went wrong', async () => {
  const target = path.join(home, 'model');
  await writeFolderAside(target, (temporary) => writeFile(path.join(temporary, 'old.json'), ''));
  const wrong = new Error('alpha');
  const failing = writeFolderAside(target, async (temporary) => {
    await writeFile(path.join(temporary, 'half.json'), '');
    throw wrong;
  });
  await expect(failing).rejects.toBe(wrong);
  expect(readdirSync(target)).toEqual(['old.json']);
  expect(readdirSync(home)).toEqual(['model']);
});

test.each([
  ['file', (target: string, fill: () => Promise<void>) => writeFileAside(target, fill)],
  ['folder', (target: string, fill: () => Promise<void>) => writeFolderAside(target, fill)],
])('passes on what went wrong with a %s where not even what was begun of it can be removed', async (_, write) => {
  const wrong = new RangeError('alpha');
  const failing = write(path.join(home, 'model'), async () => {
    rmSync(home, { recursive: true });
    writeFileSync(home, 'no folder any more');
    throw wrong;
  });
  await expect(failing).rejects.toBe(wrong);
});

test('says which file cannot be written where the folder is missing', async () => {
  const target = path.join(home, 'absent', 'figures.json');
  const error = await failureOf(() => writeFileAside(target, (handle) => handle.writeFile('')));
  expect({ code: error.code, file: error.details.file }).toEqual({ code: 'WRITE_FAILED', file: target });
});

test('a disk that fills up in the middle of the weights leaves the old ones', async () => {
  const target = path.join(home, 'model.safetensors');
  writeFileSync(target, 'old');
  const probe = await open(target);
  const write = jest.spyOn(Object.getPrototypeOf(probe), 'writeFile');
  await probe.close();
  const specs = ['alpha', 'bravo'].map((name) => ({ name, dtype: 'float32', shape: [4] }) as const);
  try {
    const error = await failureOf(() =>
      writeSafetensors(target, specs, (name) => {
        // the header and the first tensor are on disk by now
        if (name === 'bravo') write.mockRejectedValueOnce(Object.assign(new RangeError('full'), { code: 'ENOSPC' }));
        return new Float32Array(4);
      }),
    );
    expect(error.code).toBe('DISK_FULL');
  } finally {
    write.mockRestore();
  }
  expect(readFileSync(target, 'utf8')).toBe('old');
  expect(readdirSync(home)).toEqual(['model.safetensors']);
});
