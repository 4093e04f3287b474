import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileAside } from '../parameters/writeAside.ts';

const manifest = 'manifest.json';
const manifestSchema = z.record(
  z.string().refine((name) => path.basename(name) === name, 'not a plain file name'),
  z.strictObject({ bytes: z.int().nonnegative(), sha256: z.string() }),
);

/** Writes the manifest of a folder: the size and SHA-256 of each of its files. It comes last, when they are on disk. */
export async function seal(folder: string): Promise<void> {
  const files: z.output<typeof manifestSchema> = {};
  for (const name of await readdir(folder)) files[name] = await describe(path.join(folder, name));
  await writeFileAside(path.join(folder, manifest), (handle) =>
    handle.writeFile(`${JSON.stringify(files, null, 2)}\n`),
  );
}

/** Why a folder is not as it was sealed, as a clause; undefined if it is. */
export async function findTear(folder: string): Promise<string | undefined> {
  const text = await readFile(path.join(folder, manifest), 'utf8').catch(() => undefined);
  if (text === undefined) return `it has no ${manifest}`;
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success || parsed.data['state.json'] === undefined) return `its ${manifest} is not one of a checkpoint`;
  for (const [name, { bytes, sha256 }] of Object.entries(parsed.data)) {
    const file = path.join(folder, name);
    const size = await stat(file)
      .then(({ size }) => size)
      .catch(() => undefined);
    if (size === undefined) return `${name} is missing`;
    if (size !== bytes) return `${name} has ${size} bytes instead of ${bytes}`;
    if ((await describe(file)).sha256 !== sha256) return `the content of ${name} has changed`;
  }
  return undefined;
}

async function describe(file: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of createReadStream(file, { highWaterMark: 2 ** 20 })) {
    hash.update(piece as Buffer);
    bytes += (piece as Buffer).length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
