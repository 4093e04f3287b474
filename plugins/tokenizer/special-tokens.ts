import { join } from 'node:path';
import { closest } from 'fastest-levenshtein';
import { failure } from './errors.ts';
import { isObject, type JsonObject, readJsonObject } from './folder.ts';

/** The roles that a token can have. */
export type SpecialRole = 'bos_token' | 'eos_token' | 'pad_token' | 'unk_token';

/** Tokens by role, as far as the folder names them. */
export type SpecialTokens = Readonly<Partial<Record<SpecialRole, string>>>;

const roles: readonly SpecialRole[] = ['bos_token', 'eos_token', 'pad_token', 'unk_token'];

/** Where a role may be named, first come first served: by its text, or by its id as models do. */
const namingFiles = ['tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json', 'config.json'];

/** What is needed of a vocabulary to know its special tokens. */
export interface Vocabulary {
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  tokens(): readonly string[];
}

/**
 * Which tokens begin, end and pad sequences, from tokenizer_config.json, special_tokens_map.json or the model's configs.
 * Throws SPECIAL_TOKEN_UNKNOWN for one that the vocabulary lacks.
 */
export function readSpecialTokens(folder: string, vocabulary: Vocabulary): SpecialTokens {
  const found: Partial<Record<SpecialRole, string>> = {};
  for (const name of namingFiles) {
    const json = readJsonObject(folder, name);
    for (const role of roles) {
      if (found[role] !== undefined) continue;
      const token = textOf(json[role]) ?? tokenById(json, role, vocabulary);
      if (token === undefined) continue;
      if (vocabulary.idOf(token) === undefined) {
        const nearest = closest(token, [...vocabulary.tokens()]);
        throw failure('SPECIAL_TOKEN_UNKNOWN', { file: join(folder, name), role, token, nearest });
      }
      found[role] = token;
    }
  }
  return found;
}

/** A token is written as its text, or as an object with its `content`. */
function textOf(value: unknown): string | undefined {
  const content = isObject(value) ? value.content : value;
  return typeof content === 'string' ? content : undefined;
}

/** A model may have several end tokens; the first is the one that text is ended with. */
function tokenById(json: JsonObject, role: SpecialRole, vocabulary: Vocabulary): string | undefined {
  const value = json[`${role}_id`];
  const id: unknown = Array.isArray(value) ? value[0] : value;
  return typeof id === 'number' ? vocabulary.tokenOf(id) : undefined;
}
