import type { CheckpointPart } from '../hook-arguments.ts';
import { failure } from './errors.ts';

/**
 * What a plugin itself saved, its `json` checked by a schema; undefined where the checkpoint has nothing of it, as where the
 * plugin preserves training and was not there. Throws CHECKPOINT_PART for another version, and for what the schema refuses.
 *
 *     const part = readPart(parts, 'sync-ref-model', 1, z.object({ trained: z.array(z.string()) }));
 */
export function readPart<Json>(
  parts: Readonly<Record<string, CheckpointPart>>,
  plugin: string,
  version: number,
  schema: { parse(json: unknown): Json },
): (Omit<CheckpointPart, 'json'> & { readonly json: Json }) | undefined {
  const part = parts[plugin];
  if (part === undefined) return undefined;
  if (part.version !== version)
    throw failure('CHECKPOINT_PART', {
      plugin,
      reason: `it has version ${part.version}, and ${version} is understood`,
    });
  try {
    return { ...part, json: schema.parse(part.json) };
  } catch (cause) {
    throw failure('CHECKPOINT_PART', { plugin, reason: 'it has another form' }, { cause });
  }
}
