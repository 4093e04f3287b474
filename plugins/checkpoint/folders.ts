import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { checkpointFolder, checkpointSteps, checkpointsFolder, removeFolder } from 'mooring';

/** Removes what is neither one of the newest nor the best. */
export async function prune(
  output: string,
  { keepLast, best }: { readonly keepLast: number; readonly best: number | undefined },
): Promise<void> {
  const older = (await checkpointSteps(output)).slice(keepLast);
  for (const step of older) if (step !== best) await removeFolder(checkpointFolder(output, step));
}

/**
 * Moves checkpoints of later steps than a run begins at, which are another run's, into `checkpoints.1`, or the next free
 * number: they would be taken for its own. Returns that folder, if there were any.
 */
export async function setLaterAside(output: string, step: number): Promise<string | undefined> {
  const later = (await checkpointSteps(output)).filter((each) => each > step);
  if (later.length === 0) return undefined;
  let number = 1;
  while (existsSync(`${checkpointsFolder(output)}.${number}`)) number++;
  const aside = `${checkpointsFolder(output)}.${number}`;
  await mkdir(aside);
  for (const each of later) await rename(checkpointFolder(output, each), path.join(aside, `step-${each}`));
  return aside;
}
