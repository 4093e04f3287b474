import { DataSource, definePlugin, type PreferenceBatch, packRows } from 'mooring';
import { z } from 'zod';

/** Pairs of random tokens, 64 of prompt and 64 of completion: the work that the peers' scripts do. */
export const randomPairs = definePlugin({
  name: 'random-pairs',
  apiVersion: 1,
  options: z.strictObject({
    pairs: z.int().positive().default(4),
    promptTokens: z.int().positive().default(64),
    completionTokens: z.int().positive().default(64),
    vocabulary: z.int().positive().default(8192),
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
}

function source({ pairs, promptTokens, completionTokens, vocabulary }: Sizes): DataSource {
  const random = lehmer(1);
  const tokens = (count: number) => Array.from({ length: count }, () => 3 + (random() % (vocabulary - 3)));
  return {
    fingerprint: 'random-pairs',
    batchesPerEpoch: 128,
    async *open(first): AsyncIterableIterator<PreferenceBatch> {
      for (let position = first; ; position++) {
        const prompts = Array.from({ length: pairs }, () => tokens(promptTokens));
        const row = (prompt: number[]) => ({
          ids: [...prompt, ...tokens(completionTokens)],
          completionStart: promptTokens,
        });
        const rows = packRows([...prompts.map(row), ...prompts.map(row)], { firstRow: position * pairs * 2 });
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
