import type { Document } from '../01-self-play/corpus.ts';

/** Lines of pairs: how a sentence begins, how its author went on, and the same words from the last to the first. */
export function pairsOf(documents: readonly Document[], count: number): string {
  const words = documents.map(({ sentences }) => sentences.join('').trim().split(/\s+/).slice(0, 24));
  const pairs = words.slice(0, count).map((all) => {
    const [prompt, rest] = [all.slice(0, 8), all.slice(8)];
    return { prompt: prompt.join(' '), chosen: ` ${rest.join(' ')}`, rejected: ` ${rest.toReversed().join(' ')}` };
  });
  return pairs.map((pair) => `${JSON.stringify(pair)}\n`).join('');
}
