import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { asideName, forget } from './aside-name.ts';
import { sweep } from './sweep.ts';
import { explaining } from './writeAside.ts';

/**
 * Makes an empty folder in another, under a name that nobody has, for what this process needs as long as it runs; what
 * others that died left there of this kind goes. Throws DISK_FULL and WRITE_FAILED.
 */
export async function makeTemporaryFolder(parent: string, name: string): Promise<string> {
  const folder = asideName(path.join(parent, name), 'temporary');
  const make = async () => {
    await sweep(parent, 'temporary').catch(() => undefined); // others may be at it
    await mkdir(folder, { recursive: true });
  };
  await explaining(folder, make)();
  return folder;
}

/** Removes such a folder. */
export function removeTemporaryFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  forget(folder);
}
