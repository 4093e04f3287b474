import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isNativeError } from 'node:util/types';
import { MooringError } from '../errors.ts';
import { asideName, forget } from './aside-name.ts';
import { failure } from './errors.ts';

/**
 * Writes a file under a temporary name beside it and renames it when all is on disk: readers see the old file or the
 * new one, never a part. Throws `DISK_FULL` or `WRITE_FAILED`, the old file intact and the temporary one gone.
 */
export async function writeFileAside(file: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  await aside(file, async (temporary) => {
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  });
}

/**
 * The same for a folder: `fill` gets an empty folder beside it, whose files it should write with `writeFileAside` (so
 * that they are on disk). A folder that stood there is replaced. Throws as `writeFileAside`.
 */
export async function writeFolderAside(folder: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  await aside(folder, async (temporary) => {
    await mkdir(temporary);
    await fill(temporary);
    await syncFolder(temporary);
    await replaceFolder(temporary, folder);
  });
}

async function aside(target: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = asideName(target, 'partial');
  try {
    await make(temporary);
    await syncFolder(dirname(target));
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw explained(cause, target);
  } finally {
    forget(temporary);
  }
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
  const exists = await stat(folder).then(
    () => true,
    () => false,
  );
  if (!exists) return rename(replacement, folder);
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

/** Puts a rename on disk: it is an entry of the folder, which has a sync of its own. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What the system said of a file or folder that could not be written, as an error for people; other errors as they are. */
export function explained(cause: unknown, file: string): unknown {
  if (cause instanceof MooringError || !isNativeError(cause) || !('code' in cause)) return cause;
  if (cause.code === 'ENOSPC' || cause.code === 'EDQUOT') return failure('DISK_FULL', { file }, { cause });
  return failure('WRITE_FAILED', { file, reason: cause.message }, { cause });
}
