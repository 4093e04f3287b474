import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from '@jest/globals';
import type { Document } from '../../examples/01-self-play/corpus.ts';
import { readCorpus, splitCorpus, textOf } from '../../examples/01-self-play/corpus.ts';
import { cutPassages } from '../../examples/01-self-play/passages.ts';

/** Every character is a token. */
const characters = {
  encode: (text: string): number[] => Array.from(text, (character) => character.codePointAt(0) ?? 0),
  decode: (ids: readonly number[]): string => String.fromCodePoint(...ids),
};

/** Sentences of words of three letters, each with its own number: after every fourth character comes a space. */
function document(id: string, sentences: number): Document {
  const words = (index: number): string => `${String(index).padStart(3, '0')} abc def`;
  return {
    id,
    genre: 'test',
    sentences: Array.from({ length: sentences }, (_, index) => (index === 0 ? '' : ' ') + words(index)),
  };
}

const documents = [document('one', 40), document('two', 30)];
const cut = (seed = 1) => cutPassages(documents, characters, { promptTokens: 11, continuationTokens: 20, seed });

describe('cutting passages', () => {
  it('gives a real prompt of P tokens and its real continuation of C tokens', () => {
    for (const { documentId, prompt, continuation } of cut()) {
      expect(characters.encode(prompt)).toHaveLength(11);
      expect(characters.encode(continuation)).toHaveLength(20);
      const source = documents.find(({ id }) => id === documentId);
      expect(source && textOf(source)).toContain(prompt + continuation);
    }
  });

  it('begins with a sentence and cuts between words', () => {
    for (const { prompt, continuation } of cut()) {
      expect(prompt).toMatch(/^\d{3} abc def$/);
      expect(continuation).toMatch(/^ /);
    }
  });

  it('overlaps nothing', () => {
    const passages = cut();
    expect(passages).toHaveLength(13 + 10); // three sentences each, one short tail is left over
    const starts = passages.map(({ documentId, prompt }) => documentId + prompt);
    expect(new Set(starts).size).toBe(passages.length);
    for (const id of ['one', 'two']) {
      const sentences = passages.filter(({ documentId }) => documentId === id).map(({ sentence }) => sentence);
      sentences.sort((a, b) => a - b);
      for (let i = 1; i < sentences.length; i++) {
        expect((sentences[i] ?? 0) - (sentences[i - 1] ?? 0)).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it('orders by the seed alone', () => {
    expect(cut(1)).toEqual(cut(1));
    expect(cut(2)).not.toEqual(cut(1));
    expect(new Set(cut(2))).toEqual(new Set(cut(1)));
  });

  it('tries the next sentence where the cut would split a word or the tokens would change', () => {
    expect(cutPassages(documents, characters, { promptTokens: 10, continuationTokens: 20, seed: 1 })).toEqual([]);
    const unstable = { ...characters, decode: (ids: readonly number[]) => ` ${characters.decode(ids)}` };
    expect(cutPassages(documents, unstable, { promptTokens: 11, continuationTokens: 20, seed: 1 })).toEqual([]);
  });

  it("gives prompts and continuations that the example's tokenizer encodes to exactly so many tokens", () => {
    const folder = new URL('../../examples/01-self-play/model/', import.meta.url);
    const read = (name: string): object => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
    const library = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
    const tokenizer = {
      encode: (text: string): number[] => library.encode(text, { add_special_tokens: false }).ids,
      decode: (ids: readonly number[]): string => library.decode([...ids]),
    };
    const real = splitCorpus(readCorpus()).heldOut.slice(0, 4);
    const passages = cutPassages(real, tokenizer, { promptTokens: 24, continuationTokens: 40, seed: 1 });
    expect(passages.length).toBeGreaterThan(50);
    for (const { documentId, prompt, continuation } of passages) {
      expect(tokenizer.encode(prompt)).toHaveLength(24);
      expect(tokenizer.encode(continuation)).toHaveLength(40);
      expect(tokenizer.encode(prompt + continuation)).toHaveLength(64);
      const source = real.find(({ id }) => id === documentId);
      expect(source && textOf(source)).toContain(prompt + continuation);
    }
  });
});
