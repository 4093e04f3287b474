import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Counts the ways in which the binding was compiled: one that was compiled otherwise is compiled again. */
export const bindingRevision = 2;

/**
 * What of the package's source is wrong where several threads of a process run it, as ranks do: all share the set of the
 * attributes' names, and two that add to it at once break its tree. Operations then crash, or never come back.
 */
const mends = [
  {
    file: 'tfjs_backend.cc',
    wrong: 'static std::set<std::string> ATTR_NAME_SET;',
    right: 'static thread_local std::set<std::string> ATTR_NAME_SET;',
  },
];

/** Mends the source of the binding in a package's folder, of the release that `cache.ts` names. */
export async function mendBinding(folder: string): Promise<void> {
  for (const { file, wrong, right } of mends) {
    const path = join(folder, 'binding', file);
    await writeFile(path, (await readFile(path, 'utf8')).replace(wrong, right));
  }
}
