import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { failure } from './errors.ts';

/** A folder with a model in it. */
export interface ModelFolder {
  readonly folder: string;
  readonly vocabularySize: number;
}

/**
 * Refuses a reference whose token ids do not mean what the policy's do: sizes are compared, and where both folders have a
 * tokenizer.json every token of both. Throws RELOAD_VOCABULARY_SIZE, RELOAD_TOKENS_DIFFER and RELOAD_TOKENIZER_MALFORMED.
 */
export async function refuseOtherVocabulary(policy: ModelFolder, reference: ModelFolder): Promise<void> {
  const where = { policy: policy.folder, folder: reference.folder };
  const [ours, theirs] = [policy.vocabularySize, reference.vocabularySize];
  if (ours !== theirs) throw failure('RELOAD_VOCABULARY_SIZE', { ...where, ours, theirs });
  const [policyIds, referenceIds] = await Promise.all([policy, reference].map(({ folder }) => idsOf(folder)));
  if (policyIds === undefined || referenceIds === undefined) return;
  for (const token of new Set([...policyIds.keys(), ...referenceIds.keys()])) {
    const [ours, theirs] = [policyIds.get(token), referenceIds.get(token)];
    if (ours === theirs) continue;
    const say = (id: number | undefined) => (id === undefined ? 'unknown' : `number ${id}`);
    throw failure('RELOAD_TOKENS_DIFFER', {
      ...where,
      token: JSON.stringify(token),
      ours: say(ours),
      theirs: say(theirs),
    });
  }
}

// a BPE or WordPiece vocabulary is an object, a Unigram one a list of tokens with their scores
const tokenizerSchema = z.object({
  model: z.object({
    vocab: z.union([z.record(z.string(), z.number()), z.array(z.tuple([z.string(), z.number()]))]),
  }),
  added_tokens: z.array(z.object({ id: z.number(), content: z.string() })).default([]),
});

/** Ids by token; `undefined` for a folder without tokenizer.json. */
async function idsOf(folder: string): Promise<ReadonlyMap<string, number> | undefined> {
  const file = join(folder, 'tokenizer.json');
  if (!existsSync(file)) return undefined;
  try {
    const text = await readFile(file, 'utf8');
    const { model, added_tokens: added } = tokenizerSchema.parse(JSON.parse(text));
    const ids = Array.isArray(model.vocab)
      ? model.vocab.map(([token], id) => [token, id] as const)
      : Object.entries(model.vocab);
    return new Map([...ids, ...added.map(({ id, content }) => [content, id] as const)]);
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw failure('RELOAD_TOKENIZER_MALFORMED', { file, reason }, { cause });
  }
}
