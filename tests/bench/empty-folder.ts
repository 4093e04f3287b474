import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder that goes when the process does, so that nothing is known before a run. */
export function emptyFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  return folder;
}
