import { describe, expect, it } from '@jest/globals';
import { readCorpus, sentencesOf, splitCorpus, textOf } from '../../examples/01-self-play/corpus.ts';
import { detokenize, stripTag } from '../../examples/01-self-play/detokenize.ts';

describe('a tagged token', () => {
  it.each([
    ['The/at', 'The'],
    ['County/nn-tl', 'County'],
    ['1/2/cd', '1/2'],
    ['Input/Output/jj-tl', 'Input/Output'],
    ['//in', '/'],
    ['--/--', '--'],
    ['---hl', '---hl'],
    [',/,-hl', ','],
    ["''/''", "''"],
    ['not/*', 'not'],
    ["'tain't/ppss+bez*", "'tain't"],
  ])('%s is the word %s', (token, word) => {
    expect(stripTag(token)).toBe(word);
  });
});

describe('detokenizing', () => {
  it.each([
    ["produced `` no evidence '' that", 'produced "no evidence" that'],
    ["`` I'm upset '' , she told a girl-friend .", '"I\'m upset," she told a girl-friend.'],
    ["`` Did you or did you not '' ? ?", '"Did you or did you not?"'],
    ["says : ' You stunk ' '' .", "says: 'You stunk.'\""],
    ['a focus ; ;\nthe ship ! !', 'a focus;\nthe ship!'],
    ['( John 3 : : 16 ) .', '(John 3: 16).'],
    ['entitles [ objectors ] , to', 'entitles [objectors], to'],
    ["a 1/2'' board", 'a 1/2" board'],
    ['60 - 80 lb. / cu. ft.', '60-80 lb./cu. ft.'],
    ['known -- as the Slash-B -- for', 'known -- as the Slash-B -- for'],
    ["the dogs' one- and two-room '58 homes at 9 p.m. .", "the dogs' one- and two-room '58 homes at 9 p.m."],
    ["`` and goodnight .\n'' His voice", '"and goodnight." His voice'],
    ["( `` Much Ado '' )", '("Much Ado")'],
  ])('writes %j as %j', (words, text) => {
    expect(detokenize(words)).toBe(text);
  });
});

describe('a tagged file', () => {
  it('gives sentences with what leads them, headlines as their own paragraphs, and no formulas', () => {
    const file = [
      '',
      '\tThe/at herd/nn ./.',
      'He/pps ran/vbd ./.',
      'Merger/nn-hl proposed/vbn-hl ',
      'However/wrb ,/, yes/rb ./.',
      'Values/nns of/in Af/nn ./.',
      '',
      '\tNot/* f{t}/nn ./.',
      '',
      '\tNot/* this/dt ./.',
    ];
    expect(sentencesOf(file.join('\n'))).toEqual([
      'The herd.',
      ' He ran.',
      '\nMerger proposed',
      '\nHowever, yes.',
      '\nNot this.',
    ]);
  });
});

describe('the corpus', () => {
  const documents = readCorpus();
  const splits = splitCorpus(documents);

  it('has 500 documents of 15 genres and about a million words', () => {
    expect(documents).toHaveLength(500);
    expect(new Set(documents.map(({ genre }) => genre)).size).toBe(15);
    const words = documents.reduce((sum, document) => sum + textOf(document).split(/\s+/).length, 0);
    expect(words).toBeGreaterThan(970_000);
    expect(words).toBeLessThan(1_030_000);
  });

  it.each([
    ['tag', /[A-Za-z]\/(at|nns?|jj|vb[dgnz]?|rb|cs|cc|np|pps|md)(-(tl|hl|nc))?(?=\s|$)/],
    ['loose punctuation', / [,.;:?!)\]](\s|$)|(^|\s)[([] /],
    ['doubled punctuation', /([,.;:?!])\1/],
    ['mark of the corpus or of the detokenizer', /``|''|[*{}“”‘’]/],
    ['white space at an end', /^\s|\s$/],
    ['two spaces or newlines together', /\s\s/],
  ])('keeps no %s', (_, pattern) => {
    const found = documents.map((document) => pattern.exec(textOf(document))?.[0]).filter(Boolean);
    expect(found).toEqual([]);
  });

  it('is split into disjoint sets with every genre in each', () => {
    const sets = [splits.pretraining, splits.preference, splits.heldOut];
    expect(sets.map((set) => set.length)).toEqual([375, 84, 41]);
    expect(new Set(sets.flat()).size).toBe(500);
    for (const set of sets) expect(new Set(set.map(({ genre }) => genre)).size).toBe(15);
  });
});
