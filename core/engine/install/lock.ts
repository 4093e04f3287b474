import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { run } from './run.ts';

interface Holder {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** When the process began: a process number is used again. */
  readonly began: string;
}

/** After this long, the lock of another machine that shares the folder is taken to be abandoned. */
const foreignLockMinutes = 60;

/**
 * Runs `work` while this process holds the lock file at `path`, waiting for others; `onWait` is told once who holds it.
 * A lock whose holder died, by `kill -9` too, is taken over. Locks of the same path do not nest.
 */
export async function withLock<Result>(
  path: string,
  work: () => Promise<Result>,
  onWait?: (pid: number) => void,
): Promise<Result> {
  const own: Holder = { id: randomUUID(), host: hostname(), pid: process.pid, began: await beginning(process.pid) };
  let told = false;
  while (!tryAcquire(path, own)) {
    const holder = readHolder(path);
    if (holder === undefined) continue; // released just now
    if (await isAlive(holder, path)) {
      if (!told) onWait?.(holder.pid);
      told = true;
      await wait(100);
      continue;
    }
    // only whoever holds the dead holder's own lock may remove its file, so that nobody removes a successor's
    await withLock(`${path}.${holder.id}`, async () => {
      if (readHolder(path)?.id === holder.id) rmSync(path, { force: true });
    });
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** Links a finished file into place: the lock appears at once with its holder in it, or not at all. */
function tryAcquire(path: string, own: Holder): boolean {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.draft-${own.id}`;
  writeFileSync(draft, JSON.stringify(own));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function isAlive(holder: Holder, path: string): Promise<boolean> {
  if (holder.host === hostname()) return holder.began === (await beginning(holder.pid));
  const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return age < foreignLockMinutes * 60_000;
}

/** When a process began, in the system's own words; 'gone' if there is none. */
async function beginning(pid: number): Promise<string> {
  if (process.platform !== 'linux')
    return (await run('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim() || 'gone';
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the command name may hold spaces and parentheses; the 22nd field of proc(5) is the 20th after it
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'gone' : (fields[19] ?? 'gone');
  } catch {
    return 'gone';
  }
}
