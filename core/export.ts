import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Run } from './hook-arguments.ts';
import type { CallFace } from './hooks/registry.ts';
import { asideName, forget } from './parameters/aside-name.ts';
import { explained, replaceFolder } from './parameters/writeAside.ts';

/**
 * Lets plugins write their folders into a staging directory, then moves each into `output`, the old one
 * stepping aside: a crash at any moment leaves either the old or the new folder whole. Returns the folders written.
 * Throws DISK_FULL, WRITE_FAILED, and what the taps throw.
 */
export async function exportRun(hooks: CallFace, run: Run, output: string): Promise<string[]> {
  const staging = asideName(path.join(output, '.export'), 'staging');
  await mkdir(staging, { recursive: true }).catch((cause) => {
    throw explained(cause, output);
  });
  try {
    await hooks.export({ directory: staging, run });
    const written: string[] = [];
    for (const name of await readdir(staging)) {
      const target = path.join(output, name);
      await replaceFolder(path.join(staging, name), target);
      written.push(target);
    }
    return written;
  } catch (cause) {
    throw explained(cause, output);
  } finally {
    await rm(staging, { recursive: true, force: true });
    forget(staging);
  }
}
