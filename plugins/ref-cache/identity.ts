import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { MooringError, writeFileAside } from 'mooring';
import { failure } from './errors.ts';

/** What the values of a cache are of, by field. */
export type Identity = Readonly<Record<string, string>>;

const format = '2';

/**
 * Says in the folder's `manifest.json` what its values are of, or compares with what is said there.
 * Throws REF_CACHE_STALE with every field that differs, REF_CACHE_MANIFEST and REF_CACHE_UNWRITABLE.
 */
export async function settleIdentity(directory: string, identity: Identity): Promise<void> {
  const ours = { format, ...identity };
  const file = path.join(directory, 'manifest.json');
  const there = await readManifest(file);
  if (there === undefined) return writeManifest(directory, file, ours);
  const fields = [...new Set([...Object.keys(ours), ...Object.keys(there)])];
  const said = (of: Identity, field: string) => of[field] ?? 'not said';
  const differing = fields.filter((field) => said(there, field) !== said(ours, field));
  if (differing.length === 0) return;
  const differences = differing.map((field) => `${field} is ${said(there, field)} there and ${said(ours, field)} here`);
  throw failure('REF_CACHE_STALE', { directory, differences: differences.join('; ') });
}

/** One digest of all fields. */
export function digestOf(identity: Identity): string {
  const sorted = Object.entries(identity).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
}

async function readManifest(file: string): Promise<Identity | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (isIdentity(parsed)) return parsed;
    throw failure('REF_CACHE_MANIFEST', { file, reason: 'it is no object of texts' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (cause instanceof MooringError) throw cause;
    throw failure('REF_CACHE_MANIFEST', { file, reason: (cause as Error).message }, { cause });
  }
}

async function writeManifest(directory: string, file: string, identity: Identity): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (cause) {
    throw failure('REF_CACHE_UNWRITABLE', { directory, reason: (cause as Error).message }, { cause });
  }
  await writeFileAside(file, (handle) => handle.writeFile(`${JSON.stringify(identity, null, 2)}\n`));
}

function isIdentity(value: unknown): value is Identity {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((field) => typeof field === 'string');
}
