/** Text to token ids and back. */
export interface Tokenizer {
  readonly vocabularySize: number;
  readonly padId: number;
  readonly eosId: number | undefined;
  readonly eosToken: string | undefined;
  /** Adds special tokens as the tokenizer's own post-processor does unless told not to. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** A conversation as text, by the model's chat template. */
  applyChatTemplate(messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }): string;
  /** Files to copy beside saved weights: tokenizer.json, chat template, ... (absolute paths) */
  readonly files: readonly string[];
}

/** A message of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** How to continue a prompt. Temperature 0 is greedy. */
export interface GenerateOptions {
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly seed?: number;
  /** Goes on after the end-of-sequence token. */
  readonly ignoreEos?: boolean;
  readonly view?: string;
}

/** Continues prompts of token ids, all at once; returns only the new ids. */
export interface Generator {
  generate(prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<number[][]>;
}
