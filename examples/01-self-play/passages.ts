import { createHash } from 'node:crypto';
import type { Tokenizer } from 'mooring';
import type { Document } from './corpus.ts';

/** A stretch of real text, cut in two: what a model is given, and how the author went on. */
export interface Passage {
  readonly documentId: string;
  /** Where the passage begins: index into the document's sentences. */
  readonly sentence: number;
  readonly prompt: string;
  /** Begins with the space or newline between the two. */
  readonly continuation: string;
}

/** How long the two parts of a passage are, in tokens. */
export interface PassageLengths {
  readonly promptTokens: number;
  readonly continuationTokens: number;
}

/**
 * Cuts passages from documents, in an order drawn by `seed`. Each begins with a sentence, and none overlaps another.
 * The cut is between words, and encoding `prompt` and `prompt + continuation` gives exactly the tokens asked for.
 */
export function cutPassages(
  documents: readonly Document[],
  tokenizer: Pick<Tokenizer, 'encode' | 'decode'>,
  { seed, ...lengths }: PassageLengths & { seed: number },
): Passage[] {
  return documents
    .flatMap((document) => passagesOf(document, tokenizer, lengths))
    .map((passage) => ({ passage, rank: rankOf(passage, seed) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ passage }) => passage);
}

function passagesOf(
  { id, sentences }: Document,
  tokenizer: Pick<Tokenizer, 'encode' | 'decode'>,
  { promptTokens, continuationTokens }: PassageLengths,
): Passage[] {
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const encoded = sentences.map(encode);
  const length = promptTokens + continuationTokens;
  const passages: Passage[] = [];
  let sentence = 0;
  while (sentence < sentences.length) {
    // without the space that leads it: nothing stands before a prompt
    const ids = encode(sentences[sentence]?.trimStart() ?? '');
    let end = sentence + 1;
    while (ids.length < length && end < sentences.length) ids.push(...(encoded[end++] ?? []));
    if (ids.length < length) break;
    const prompt = tokenizer.decode(ids.slice(0, promptTokens));
    const continuation = tokenizer.decode(ids.slice(promptTokens, length));
    const again = encode(prompt + continuation);
    // A word cut at the end may encode otherwise than it did whole: then the next sentence is tried.
    const exact = again.length === length && again.every((token, index) => token === ids[index]);
    if (exact && /^\s/.test(continuation)) {
      passages.push({ documentId: id, sentence, prompt, continuation });
      sentence = end;
    } else {
      sentence++;
    }
  }
  return passages;
}

/** A hash, so that a passage's place does not depend on which others there are. */
function rankOf({ documentId, sentence }: Passage, seed: number): string {
  return createHash('sha256').update(`${seed}/${documentId}/${sentence}`).digest('hex');
}
