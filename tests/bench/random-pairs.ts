import { DataSource, definePlugin, type PreferenceBatch, packBranches, packRows } from 'mooring';
import { z } from 'zod';

/** Pairs of random tokens, 64 of prompt and 64 of completion: the pairs that the peers' scripts train on. */
export const randomPairs = definePlugin({
  name: 'random-pairs',
  apiVersion: 1,
  options: z.strictObject({
    pairs: z.int().positive().default(4),
    promptTokens: z.int().positive().default(64),
    completionTokens: z.int().positive().default(64),
    vocabulary: z.int().positive().default(8192),
    sharePrompts: z.boolean().default(true),
  }),
  apply({ provide, options }) {
    provide(DataSource, { uses: {}, create: () => source(options) });
  },
});

interface Sizes {
  readonly pairs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly vocabulary: number;
  readonly sharePrompts: boolean;
}

function source({ pairs, promptTokens, completionTokens, vocabulary, sharePrompts }: Sizes): DataSource {
  return {
    fingerprint: 'random-pairs',
    batchesPerEpoch: 128,
    async *open(first): AsyncIterableIterator<PreferenceBatch> {
      for (let position = first; ; position++) {
        const random = lehmer(1 + position);
        const tokens = (count: number) => Array.from({ length: count }, () => 3 + (random() % (vocabulary - 3)));
        const prompts = Array.from({ length: pairs }, () => tokens(promptTokens));
        const row = (prompt: number[]) => ({
          ids: [...prompt, ...tokens(completionTokens)],
          completionStart: promptTokens,
        });
        const sides = [prompts.map(row), prompts.map(row)];
        const firstRow = position * pairs * 2;
        const rows = sharePrompts ? packBranches(sides, { firstRow }) : packRows(sides.flat(), { firstRow });
        const chosenToken = pairs * completionTokens;
        const counts = { row: pairs, token: 2 * chosenToken, chosenToken };
        yield { kind: 'preference', position, origin: `random batch ${position}`, counts, pairs, rows };
      }
    },
  };
}

/** Lehmer's generator modulo 2^31 - 1 (Park and Miller 1988). */
function lehmer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state;
  };
}
