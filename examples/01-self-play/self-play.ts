import { createTrainer, Generator, type Log, Tokenizer } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { tokenizer as tokenizerPlugin } from 'mooring/plugins/tokenizer';
import type { Document } from './corpus.ts';
import { cutPassages, type Passage } from './passages.ts';

/** A pair as preference-data reads it: a person's continuation against the model's own. */
export interface SelfPlayPair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

/** How many pairs to make of which documents, and how long the parts are, in tokens. */
export interface SelfPlayOptions {
  readonly model: string;
  readonly promptTokens: number;
  readonly continuationTokens: number;
  readonly seed: number;
  readonly log?: Log;
  readonly onProgress?: (done: number, all: number) => void;
}

const promptsAtOnce = 64;

/**
 * Self-play pairs (SPIN, Chen et al. 2024, arXiv 2401.01335): the prompt is the start of a real passage, chosen is how its
 * author went on, rejected is what the model itself samples at temperature 1, with exactly as many tokens: else the
 * length would give it away. Samples that do not come out so are left out.
 */
export async function selfPlayPairs(
  sets: Readonly<Record<string, { documents: readonly Document[]; pairs: number }>>,
  options: SelfPlayOptions,
): Promise<Record<string, SelfPlayPair[]>> {
  const { model, promptTokens, continuationTokens, seed, log } = options;
  const all = Object.values(sets).reduce((sum, set) => sum + set.pairs, 0);
  const trainer = createTrainer({ model }, log === undefined ? {} : { log }).use(causalLm(), tokenizerPlugin());
  return trainer.withServices({ generator: Generator, tokenizer: Tokenizer }, async ({ generator, tokenizer }) => {
    const made: Record<string, SelfPlayPair[]> = {};
    let done = 0;
    for (const [name, { documents, pairs: wanted }] of Object.entries(sets)) {
      const passages = cutPassages(documents, tokenizer, { promptTokens, continuationTokens, seed });
      const pairs: SelfPlayPair[] = [];
      for (let at = 0; at < passages.length && pairs.length < wanted; at += promptsAtOnce) {
        const some = passages.slice(at, at + promptsAtOnce);
        const prompts = some.map((passage) => tokenizer.encode(passage.prompt));
        const settings = {
          maxNewTokens: Math.ceil(1.2 * continuationTokens),
          temperature: 1,
          seed: seed + at,
          ignoreEos: true,
        };
        const samples = await generator.generate(prompts, settings);
        some.forEach((passage, index) => {
          const pair = pairOf(passage, prompts[index] ?? [], samples[index] ?? [], tokenizer, continuationTokens);
          if (pair !== undefined && pairs.length < wanted) pairs.push(pair);
        });
        options.onProgress?.(done + pairs.length, all);
      }
      done += pairs.length;
      made[name] = pairs;
    }
    return made;
  });
}

/** The sample as text of exactly as many tokens: the model may spell a word in other tokens than the tokenizer would. */
function pairOf(
  passage: Passage,
  prompt: readonly number[],
  sample: readonly number[],
  tokenizer: Tokenizer,
  tokens: number,
): SelfPlayPair | undefined {
  const whole = tokenizer.encode(passage.prompt + tokenizer.decode(sample));
  const expected = whole.slice(0, prompt.length + tokens);
  const rejected = tokenizer.decode(expected.slice(prompt.length));
  const again = tokenizer.encode(passage.prompt + rejected);
  const isExact =
    expected.length === prompt.length + tokens &&
    expected.length === again.length &&
    again.every((token, at) => token === expected[at] && (at >= prompt.length || token === prompt[at]));
  // half a character is no text, and would give the sample away
  if (!isExact || rejected.includes('\ufffd')) return undefined;
  return { prompt: passage.prompt, chosen: passage.continuation, rejected };
}
