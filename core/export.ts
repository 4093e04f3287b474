import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Run } from './hook-arguments.ts';
import type { CallFace } from './hooks/registry.ts';
import { replaceFolder } from './parameters/writeAside.ts';

/**
 * Lets plugins write their folders into a staging directory, then moves each into `output`, the old one
 * stepping aside: a crash at any moment leaves either the old or the new folder whole. Returns the folders written.
 */
export async function exportRun(hooks: CallFace, run: Run, output: string): Promise<string[]> {
  await mkdir(output, { recursive: true });
  const staging = path.join(output, `.staging-${process.pid}`);
  await mkdir(staging);
  try {
    await hooks.export({ directory: staging, run });
    const written: string[] = [];
    for (const name of await readdir(staging)) {
      const target = path.join(output, name);
      await replaceFolder(path.join(staging, name), target);
      written.push(target);
    }
    return written;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
