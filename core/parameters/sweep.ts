import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { type AsideKind, leftover } from './aside-name.ts';

/**
 * Clears a folder of what processes that died left while they wrote there: what was half-written goes, and what had
 * stepped aside for a replacement that never came is put back; of one kind only, if it is said. Returns the names; none for
 * a folder that does not exist.
 */
export async function sweep(folder: string, only?: AsideKind): Promise<string[]> {
  const swept: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const file = path.join(folder, name);
    const found = leftover(file);
    if (found === undefined || (only ?? found.kind) !== found.kind) continue;
    const isLost = found.kind === 'replaced' && !existsSync(found.target);
    if (isLost) await rename(file, found.target);
    else await rm(file, { recursive: true, force: true });
    swept.push(name);
  }
  return swept;
}
