/** A byte-level byte-pair encoding: what training finds, and all that encoding needs. */
export interface BytePairEncoding {
  /** Tokens in the order of their ids: special tokens, the 256 bytes, then one for each merge. */
  readonly vocabulary: readonly string[];
  readonly specialTokens: readonly string[];
  /** Pairs of tokens that encoding joins, the most frequent first. */
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * Trains a byte-level byte-pair encoding (Sennrich et al. 2016, bytes as in GPT-2): joins the most frequent pair of
 * neighbouring tokens within words, again and again, until the vocabulary has `vocabularySize` tokens or no pair is left.
 * Ties go to the pair of lower ids, so the same texts give the same encoding.
 */
export function trainBytePairEncoding(
  texts: Iterable<string>,
  { vocabularySize, specialTokens }: { vocabularySize: number; specialTokens: readonly string[] },
): BytePairEncoding {
  const vocabulary = [...specialTokens, ...byteAlphabet.toSorted()];
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  const words = countWords(texts, idOf);
  const pairs = new PairCounts(words);
  const merges: [string, string][] = [];
  while (vocabulary.length < vocabularySize) {
    const best = pairs.mostFrequent();
    if (best === undefined) break;
    const [left, right] = best;
    const parts: [string, string] = [vocabulary[left] ?? '', vocabulary[right] ?? ''];
    const merged = parts.join('');
    // Two pairs may spell one token: ab + c, a + bc.
    const id = idOf.get(merged) ?? vocabulary.push(merged) - 1;
    idOf.set(merged, id);
    merges.push(parts);
    pairs.merge(left, right, id);
  }
  return { vocabulary, specialTokens, merges };
}

/** A word of the corpus as token ids, and how often it occurs. */
interface Word {
  ids: number[];
  readonly count: number;
}

/** How often each pair of neighbouring tokens occurs, and in which words it may. */
class PairCounts {
  private readonly counts = new Map<number, number>();
  private readonly places = new Map<number, Set<Word>>();

  constructor(words: readonly Word[]) {
    for (const word of words) this.add(word, 1);
  }

  mostFrequent(): [number, number] | undefined {
    let best = -1;
    let most = 0;
    for (const [pair, count] of this.counts) {
      if (count > most || (count === most && pair < best)) {
        best = pair;
        most = count;
      }
    }
    return best < 0 ? undefined : [Math.floor(best / pairBase), best % pairBase];
  }

  /** Replaces the pair by the token `id` wherever it occurs. */
  merge(left: number, right: number, id: number): void {
    const pair = left * pairBase + right;
    const places = this.places.get(pair) ?? [];
    this.places.delete(pair);
    for (const word of places) {
      this.add(word, -1);
      word.ids = joinPairs(word.ids, left, right, id);
      this.add(word, 1);
    }
  }

  private add(word: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.ids.length; i++) {
      const pair = (word.ids[i] ?? 0) * pairBase + (word.ids[i + 1] ?? 0);
      const count = (this.counts.get(pair) ?? 0) + sign * word.count;
      if (count === 0) this.counts.delete(pair);
      else this.counts.set(pair, count);
      if (sign > 0) this.places.set(pair, (this.places.get(pair) ?? new Set()).add(word));
    }
  }
}

/** Two ids as one number that orders as the pair does. */
const pairBase = 2 ** 20;

function joinPairs(ids: readonly number[], left: number, right: number, joined: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const pair = ids[i] === left && ids[i + 1] === right;
    result.push(pair ? joined : (ids[i] ?? 0));
    if (pair) i++;
  }
  return result;
}

function countWords(texts: Iterable<string>, idOf: ReadonlyMap<string, number>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(wordPattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return Array.from(counts, ([word, count]) => ({
    ids: Array.from(Buffer.from(word), (byte) => idOf.get(byteAlphabet[byte] ?? '') ?? 0),
    count,
  }));
}

/** GPT-2's words: a merge never crosses from one to the next. */
const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The printable character that stands for each byte in a vocabulary: itself, or one from U+0100 on. */
const byteAlphabet: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCodePoint(printable ? byte : next++);
  });
})();
