import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { type Tokenizer, tokenizerFiles } from 'mooring';
import { type ChatTemplate, loadChatTemplate } from './chat-template.ts';
import { failure } from './errors.ts';
import { type JsonObject, messageOf, readJsonObject } from './folder.ts';
import { readSpecialTokens } from './special-tokens.ts';

/**
 * The tokenizer of a Hugging Face folder: the ids that transformers gives for the same text.
 * Throws TOKENIZER_MISSING, TOKENIZER_MALFORMED, TOKENIZER_UNSUPPORTED and SPECIAL_TOKEN_UNKNOWN; a chat template is
 * looked for only when a conversation comes.
 */
export function loadTokenizer(folderPath: string): Tokenizer {
  const folder = resolve(folderPath);
  if (!existsSync(join(folder, 'tokenizer.json'))) throw failure('TOKENIZER_MISSING', { folder });
  const config = readJsonObject(folder, 'tokenizer_config.json');
  const library = build(join(folder, 'tokenizer.json'), readJsonObject(folder, 'tokenizer.json'), config);
  const vocabulary = library.get_vocab();
  const special = readSpecialTokens(folder, {
    idOf: (token) => library.token_to_id(token),
    tokenOf: (id) => library.id_to_token(id),
    // Ids may have gaps, which the library lists as undefined.
    tokens: () => [...vocabulary.keys()].filter((token) => token !== undefined),
  });
  const idOf = (token: string | undefined) => (token === undefined ? undefined : library.token_to_id(token));
  const eosId = idOf(special.eos_token);
  let template: ChatTemplate | undefined;
  return {
    vocabularySize: [...vocabulary.values()].reduce((highest, id) => Math.max(highest, id), -1) + 1,
    // Without either, any id does: the mask hides padding everywhere.
    padId: idOf(special.pad_token) ?? eosId ?? 0,
    eosId,
    eosToken: special.eos_token,
    files: tokenizerFiles.map((name) => join(folder, name)).filter((file) => existsSync(file)),
    encode(text, options = {}) {
      const { ids } = library.encode(text, { add_special_tokens: options.addSpecialTokens ?? true });
      // A character that a vocabulary without an unknown token lacks has no id: transformers leaves it out too.
      return ids.filter((id): id is number => id !== undefined);
    },
    decode(ids, options = {}) {
      const known = ids.filter((id) => library.id_to_token(id) !== undefined);
      if (known.length === 0) return '';
      return library.decode(known, {
        skip_special_tokens: options.skipSpecialTokens ?? false,
        clean_up_tokenization_spaces: config.clean_up_tokenization_spaces === true,
      });
    },
    applyChatTemplate(messages, options) {
      template ??= loadChatTemplate(folder, special);
      return template(messages, options);
    },
  };
}

/** Refuses a tokenizer with ids that the model has no embedding for: TOKEN_BEYOND_VOCABULARY. */
export function checkVocabulary(tokenizer: Tokenizer, vocabulary: number, folder: string): void {
  if (tokenizer.vocabularySize <= vocabulary) return;
  const highest = tokenizer.vocabularySize - 1;
  throw failure('TOKEN_BEYOND_VOCABULARY', { folder, highest, vocabulary, token: tokenizer.decode([highest]) });
}

function build(file: string, json: JsonObject, config: JsonObject): Library {
  if (json.model === undefined) throw failure('TOKENIZER_MALFORMED', { file, reason: 'it has no `model`' });
  // Parts that the file format lets be absent, but the library does not.
  const optional = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  try {
    return new HuggingFaceTokenizer({ ...optional, ...json }, config);
  } catch (cause) {
    throw failure('TOKENIZER_UNSUPPORTED', { file, reason: messageOf(cause) }, { cause });
  }
}

/** What is used of the library: its own declarations do not resolve under Node's rules for modules. */
interface Library {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string | undefined, number>;
}
