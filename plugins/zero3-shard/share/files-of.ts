import { readdir } from 'node:fs/promises';
import path from 'node:path';

/** What a run reads of a Hugging Face folder: not what other programs keep there, such as weights in forms of their own. */
const extensions: ReadonlySet<string> = new Set(['.json', '.safetensors', '.jinja', '.txt', '.model']);

/** Names of the files in a model's folder that a run reads; none where it is no folder. */
export async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory() && extensions.has(path.extname(entry.name)))
    .map(({ name }) => name)
    .sort();
}
