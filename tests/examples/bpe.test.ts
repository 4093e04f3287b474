import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { trainBytePairEncoding } from '../../examples/01-self-play/bpe.ts';
import { tokenizerFiles } from '../../examples/01-self-play/tokenizer-files.ts';

const specialTokens = ['<pad>', '</s>'];

function train(texts: string[], vocabularySize = 300) {
  return trainBytePairEncoding(texts, { vocabularySize, specialTokens });
}

function load(texts: string[]): Tokenizer {
  const files = tokenizerFiles(train(texts), { padToken: '<pad>', eosToken: '</s>', maxLength: 512 });
  return new Tokenizer(files['tokenizer.json'], files['tokenizer_config.json']);
}

describe('training a byte-pair encoding', () => {
  it('joins the most frequent pair first, and of equals the one with lower ids', () => {
    // "low" x 3, "lot" x 2: l+o occurs 5 times, then lo+w 3 times, then lo+t 2 times
    expect(train(['low low low lot lot'.replaceAll(' ', '\n')]).merges).toEqual([
      ['l', 'o'],
      ['lo', 'w'],
      ['lo', 't'],
    ]);
    expect(train(['cd\nab']).merges[0]).toEqual(['a', 'b']);
  });

  it('puts special tokens first, then the 256 bytes, and stops at the size asked for', () => {
    const { vocabulary, merges } = train(['the theme of these themes is that they are the same'], 270);
    expect(vocabulary).toHaveLength(270);
    expect(vocabulary.slice(0, 3)).toEqual(['<pad>', '</s>', '!']);
    expect(merges).toHaveLength(270 - 258);
    expect(new Set(vocabulary).size).toBe(270);
  });

  it('never joins across words', () => {
    expect(train(['a b a b a b a b']).merges.flat()).not.toContain('aĠ');
  });

  it('gives the same encoding for the same texts', () => {
    const texts = ['peter piper picked a peck', 'of pickled peppers'];
    expect(train(texts)).toEqual(train(texts));
  });
});

describe('the tokenizer files', () => {
  it('give back any text from its ids', () => {
    const tokenizer = load(['the quick brown fox jumps over the lazy dog, the dog sleeps']);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
      }),
    );
  });

  it('encode by the merges, and special tokens as one', () => {
    const tokenizer = load(['low low low low']);
    expect(tokenizer.tokenize('low lower</s>')).toEqual(['low', 'Ġlow', 'e', 'r', '</s>']);
    expect(tokenizer.encode('</s><pad>').ids).toEqual([1, 0]);
  });
});

describe("the example's tokenizer", () => {
  it('has 4096 tokens and gives back any text', () => {
    const folder = new URL('../../examples/01-self-play/model/', import.meta.url);
    const read = (name: string): object => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
    const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
    expect(tokenizer.get_vocab().size).toBe(4096);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
      }),
    );
  });
});
