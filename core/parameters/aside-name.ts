import { createHash, randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * What stands beside its target while that is written: `partial` is not whole yet, `replaced` is what stood there before;
 * or what is `temporary`, for as long as a process runs.
 */
export type AsideKind = 'partial' | 'replaced' | 'staging' | 'temporary';

const host = digestOf(hostname());
/**
 * Containers may have the name of their host and of each other, and cannot see whose processes live. What is temporary may
 * be of several that run; of what is written into an output only one is at it, perhaps in a new container of the same name.
 */
const hostWithProcesses = digestOf(`${hostname()} ${processNamespace()}`);
const pattern = /^(.*)\.([0-9a-f]{6})-(\d+)-[0-9a-f]{8}\.(partial|replaced|staging|temporary)$/s;
const inUse = new Set<string>();

/** A name that nobody has, and that says which process writes there: what is left of one that died can be told. */
export function asideName(target: string, kind: AsideKind): string {
  const name = `${target}.${hostOf(kind)}-${process.pid}-${randomUUID().slice(0, 8)}.${kind}`;
  inUse.add(name);
  return name;
}

/** Says that what `asideName` named is gone. */
export function forget(name: string): void {
  inUse.delete(name);
}

/**
 * What a name left by a process of this machine that is no more stands for; undefined for names of others, of processes
 * that live, and of other machines, which may share the disk. A process id that came back only keeps a name longer.
 */
export function leftover(name: string): { readonly target: string; readonly kind: AsideKind } | undefined {
  const [, target, machine, id, kind] = pattern.exec(name) ?? [];
  if (target === undefined || machine !== hostOf(kind as AsideKind) || inUse.has(name)) return undefined;
  // an earlier process of our id, since it is not in use here; what is temporary may be of another thread of this one
  const isOurs = Number(id) === process.pid && kind !== 'temporary';
  return isOurs || !isAlive(Number(id)) ? { target, kind: kind as AsideKind } : undefined;
}

function hostOf(kind: AsideKind): string {
  return kind === 'temporary' ? hostWithProcesses : host;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 6);
}

/** Linux numbers what process ids are counted in. */
function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
