import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Collectives } from './collectives/collectives.ts';
import { announced, inStep, onFirst } from './collectives/together.ts';
import type { Run } from './hook-arguments.ts';
import type { CallFace } from './hooks/registry.ts';
import { asideName, forget } from './parameters/aside-name.ts';
import { discard, explained, explaining, replaceFolder } from './parameters/writeAside.ts';

/**
 * Lets plugins write their folders into a staging directory, then moves each into `output`, the old one
 * stepping aside: a crash at any moment leaves either the old or the new folder whole. Returns the folders written.
 * Every rank calls it, and the first makes and moves folders. Throws DISK_FULL, WRITE_FAILED, RANK_FAILED, and what the taps throw.
 */
export async function exportRun(
  hooks: CallFace,
  run: Run,
  output: string,
  collectives: Collectives,
): Promise<string[]> {
  const isFirst = collectives.rank === 0;
  const named = () => asideName(path.join(output, '.export'), 'staging');
  const staging = await announced(collectives, 'the folder to export into', named);
  const written: string[] = [];
  const begin = async () => void (await mkdir(staging, { recursive: true }));
  await onFirst(collectives, 'an empty folder to export into', explaining(output, begin));
  try {
    await inStep(collectives, 'the export', () => hooks.export({ directory: staging, run }));
    const replace = async () => {
      for (const name of await readdir(staging)) {
        const target = path.join(output, name);
        await replaceFolder(path.join(staging, name), target);
        written.push(target);
      }
    };
    await onFirst(collectives, 'what was exported in its place', explaining(output, replace));
    return JSON.parse(await announced(collectives, 'what was exported', () => JSON.stringify(written))) as string[];
  } catch (cause) {
    throw explained(cause, output);
  } finally {
    if (isFirst) await discard(staging);
    forget(staging);
  }
}
