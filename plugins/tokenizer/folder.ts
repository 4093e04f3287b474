import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from './errors.ts';

/** A JSON object as read from a file. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A JSON file of a folder as an object, empty where the file is absent. Throws TOKENIZER_MALFORMED. */
export function readJsonObject(folder: string, name: string): JsonObject {
  const file = join(folder, name);
  if (!existsSync(file)) return {};
  const value = parseFile(file);
  if (!isObject(value)) throw failure('TOKENIZER_MALFORMED', { file, reason: 'it does not hold a JSON object' });
  return value;
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw failure('TOKENIZER_MALFORMED', { file, reason: messageOf(cause) }, { cause });
  }
}

/** What went wrong, in words, to stand inside a sentence. */
export function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
}
