import { readFile, truncate } from 'node:fs/promises';
import { failure } from './errors.ts';

/**
 * Cuts a file of figures after the lines of a step: those that come after it, and a last one that a kill left half-written,
 * go. Lines are in the order of steps. Returns whether the file exists and is of the run that wrote the line `last`: that of
 * another run stays as it is. Throws METRICS_UNWRITABLE.
 */
export async function keepSteps(file: string, step: number, last: string | undefined): Promise<boolean> {
  const content = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw unwritable(file, cause);
  });
  if (content === undefined) return false;
  if (last !== undefined && !content.includes(last)) return false;
  let end = 0;
  for (let next = content.indexOf('\n'); next >= 0; next = content.indexOf('\n', end)) {
    if (!(stepOf(content.toString('utf8', end, next)) <= step)) break;
    end = next + 1;
  }
  try {
    await truncate(file, end);
  } catch (cause) {
    throw unwritable(file, cause as Error);
  }
  return true;
}

function unwritable(file: string, cause: Error) {
  return failure('METRICS_UNWRITABLE', { file, reason: cause.message }, { cause });
}

function stepOf(line: string): number {
  try {
    return Number((JSON.parse(line) as { step?: unknown }).step);
  } catch {
    return Number.NaN;
  }
}
