import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../tokens.ts';
import { failure } from './errors.ts';
import { findTear } from './seal.ts';

/** Where a run keeps its checkpoints. */
export function checkpointsFolder(output: string): string {
  return path.join(output, 'checkpoints');
}

/** The folder of a step's checkpoint. */
export function checkpointFolder(output: string, step: number): string {
  return path.join(checkpointsFolder(output), `step-${step}`);
}

/** The steps that there are checkpoints of, whole or not, the newest first. */
export async function checkpointSteps(output: string): Promise<number[]> {
  const names = await readdir(checkpointsFolder(output)).catch(() => []);
  return names
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}

/**
 * The checkpoint to go on from: the named folder, or with `true` the newest whole one of the output; undefined if there
 * is none, which is said, as is each that is not whole. Throws CHECKPOINT_TORN for a named one.
 */
export async function findCheckpoint(
  resume: boolean | string,
  output: string | undefined,
  log: Log,
): Promise<string | undefined> {
  if (resume === false) return undefined;
  if (typeof resume === 'string') {
    const reason = await findTear(resume);
    if (reason !== undefined) throw failure('CHECKPOINT_TORN', { folder: resume, reason });
    return resume;
  }
  for (const step of output === undefined ? [] : await checkpointSteps(output)) {
    const folder = checkpointFolder(output as string, step);
    const reason = await findTear(folder);
    if (reason === undefined) return folder;
    log.warn({ folder }, `resume: ${folder} is passed over, since ${reason}`);
  }
  log.warn({ output }, 'resume: there is no whole checkpoint, so the run starts at its beginning');
  return undefined;
}
