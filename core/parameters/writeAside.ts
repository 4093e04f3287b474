import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { isNativeError } from 'node:util/types';
import { alone, type Collectives } from '../collectives/collectives.ts';
import { gatherTexts } from '../collectives/gather-texts.ts';
import { announced, inStep, onFirst } from '../collectives/together.ts';
import { MooringError } from '../errors.ts';
import { asideName, forget } from './aside-name.ts';
import { failure } from './errors.ts';

/**
 * Writes a file under a temporary name beside it and renames it when all is on disk: readers see the old file or the
 * new one, never a part. Throws `DISK_FULL` or `WRITE_FAILED`, the old file intact and the temporary one gone.
 */
export async function writeFileAside(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const temporary = asideName(file, 'partial');
  try {
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(dirname(file));
  } catch (cause) {
    await discard(temporary);
    throw explained(cause, file);
  } finally {
    forget(temporary);
  }
}

/** The ranks that write a folder together. */
export interface Writers {
  readonly collectives: Collectives;
  /** Whether all of them see the folder; else only the first does. */
  readonly isShared: boolean;
}

/**
 * The same for a folder: `fill` gets an empty folder beside it, whose files it should write with `writeFileAside` (so
 * that they are on disk). A folder that stood there is replaced. Of several ranks every one calls it: the first makes the
 * folder and puts it in its place when all are done, and where one fails, all do, and nothing is left. Throws as
 * `writeFileAside`, and RANK_FAILED.
 */
export async function writeFolderAside(
  folder: string,
  fill: (temporary: string, writers: Writers) => Promise<void>,
  collectives: Collectives = alone,
): Promise<void> {
  const isFirst = collectives.rank === 0;
  const name = basename(folder);
  const temporary = await announced(collectives, `the folder for ${name}`, () => asideName(folder, 'partial'));
  try {
    await onFirst(
      collectives,
      `an empty folder for ${name}`,
      explaining(folder, async () => void (await mkdir(temporary))),
    );
    const isShared = await isSeenByAll(collectives, temporary);
    await inStep(collectives, `the files of ${name}`, () => fill(temporary, { collectives, isShared }));
    const replace = async () => {
      await syncFolder(temporary);
      await replaceFolder(temporary, folder);
      await syncFolder(dirname(folder));
    };
    await onFirst(collectives, `${name} in its place`, explaining(folder, replace));
  } catch (cause) {
    if (isFirst) await discard(temporary);
    throw explained(cause, folder);
  } finally {
    forget(temporary);
  }
}

/** Whether all ranks see a folder that the first has just made under a name that nobody had: then they share a disk. */
async function isSeenByAll(collectives: Collectives, folder: string): Promise<boolean> {
  if (collectives.ranks === 1) return true;
  const answers = await gatherTexts(collectives, (await exists(folder)) ? '' : 'no', 'who sees the disk');
  return answers.every((answer) => answer === '');
}

/** Removes a folder: under its name it is whole until it is gone, and a process that dies meanwhile leaves what `sweep` finds. */
export async function removeFolder(folder: string): Promise<void> {
  const temporary = asideName(folder, 'partial');
  await rename(folder, temporary);
  await rm(temporary, { recursive: true });
  forget(temporary);
}

/** A rename replaces no folder that holds files, so the old one steps aside, and back if the new one cannot come. */
export async function replaceFolder(replacement: string, folder: string): Promise<void> {
  if (!(await exists(folder))) return rename(replacement, folder);
  const old = asideName(folder, 'replaced');
  await rename(folder, old);
  try {
    await rename(replacement, folder);
  } catch (error) {
    await rename(old, folder);
    throw error;
  }
  await rm(old, { recursive: true });
  forget(old);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Puts a rename on disk: it is an entry of the folder, which has a sync of its own. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what is of no use. If it stays, that does not hide why it is of none, and `sweep` finds it. */
export async function discard(temporary: string): Promise<void> {
  await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
}

/** What the system said of a file or folder that could not be written, as an error for people; other errors as they are. */
export function explained(cause: unknown, file: string): unknown {
  if (cause instanceof MooringError || !isNativeError(cause) || !('code' in cause)) return cause;
  if (cause.code === 'ENOSPC' || cause.code === 'EDQUOT') return failure('DISK_FULL', { file }, { cause });
  return failure('WRITE_FAILED', { file, reason: cause.message }, { cause });
}

/** The same work, whose errors are explained before other ranks are told of them. */
export function explaining<Result>(file: string, work: () => Promise<Result>): () => Promise<Result> {
  return () =>
    work().catch((cause) => {
      throw explained(cause, file);
    });
}
