import type { ChatMessage, Tokenizer } from 'mooring';
import { failure } from './errors.ts';
import type { Pair } from './pair.ts';
import type { Place } from './parse.ts';

/** A pair as token ids; each completion continues the prompt. */
export interface TokenizedPair {
  readonly prompt: readonly number[];
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
  /** The completion whose tokens with the prompt do not begin with the tokens of the prompt alone. */
  readonly mismatch: 'chosen' | 'rejected' | undefined;
}

/** How a pair becomes text: plain strings as they stand, conversations by the chat template. */
interface Rendered {
  readonly prompt: string;
  readonly withChosen: string;
  readonly withRejected: string;
  /** A chat template writes its own special tokens. */
  readonly addSpecialTokens: boolean;
}

/**
 * Tokenizes as TRL's DPOTrainer: the prompt alone, and the prompt with each completion, of which the tokens after the
 * prompt's are the completion's. Plain completions end with the end-of-sequence token.
 * Throws END_TOKEN_MISSING and TOKENS_EMPTY.
 */
export function tokenizePair(pair: Pair, tokenizer: Tokenizer, place: Place): TokenizedPair {
  const { withChosen, withRejected, ...rendered } = render(pair, tokenizer);
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: rendered.addSpecialTokens });
  const prompt = encode(rendered.prompt);
  const promptAndChosen = encode(withChosen);
  const promptAndRejected = encode(withRejected);
  const tokenized = {
    prompt,
    chosen: promptAndChosen.slice(prompt.length),
    rejected: promptAndRejected.slice(prompt.length),
  };
  for (const column of ['prompt', 'chosen', 'rejected'] as const) {
    if (tokenized[column].length === 0) throw failure('TOKENS_EMPTY', { ...place, column });
  }
  const begins = (whole: readonly number[]) => prompt.every((id, at) => whole[at] === id);
  const mismatch = !begins(promptAndChosen) ? 'chosen' : !begins(promptAndRejected) ? 'rejected' : undefined;
  return { ...tokenized, mismatch };
}

/**
 * Whether the prompt alone has at least `maxLength` tokens. Most prompts are told by their length in bytes, which no
 * prompt has fewer of than tokens (but for the special ones), so that a large file is not tokenized twice.
 */
export function promptFills(maxLength: number, pair: Pair, tokenizer: Tokenizer): boolean {
  const { text, addSpecialTokens } = renderPrompt(pair, tokenizer);
  // A tokenizer may begin a text with a space of its own.
  const mostTokens = Buffer.byteLength(text) + 1 + (addSpecialTokens ? tokenizer.encode('').length : 0);
  return mostTokens >= maxLength && tokenizer.encode(text, { addSpecialTokens }).length >= maxLength;
}

function renderPrompt(pair: Pair, tokenizer: Tokenizer): { text: string; addSpecialTokens: boolean } {
  if (pair.format === 'plain') return { text: pair.prompt, addSpecialTokens: true };
  return { text: tokenizer.applyChatTemplate(pair.prompt, { addGenerationPrompt: true }), addSpecialTokens: false };
}

function render(pair: Pair, tokenizer: Tokenizer): Rendered {
  const { text: prompt, addSpecialTokens } = renderPrompt(pair, tokenizer);
  if (pair.format === 'plain') {
    const { eosToken } = tokenizer;
    if (eosToken === undefined) throw failure('END_TOKEN_MISSING', {});
    const ended = (text: string) => (text.endsWith(eosToken) ? text : text + eosToken);
    return {
      prompt,
      withChosen: prompt + ended(pair.chosen),
      withRejected: prompt + ended(pair.rejected),
      addSpecialTokens,
    };
  }
  const whole = (completion: readonly ChatMessage[]) =>
    tokenizer.applyChatTemplate([...pair.prompt, ...completion], { addGenerationPrompt: false });
  return { prompt, withChosen: whole(pair.chosen), withRejected: whole(pair.rejected), addSpecialTokens };
}
