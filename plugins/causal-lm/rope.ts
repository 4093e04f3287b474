import { z } from 'zod';

/** How rotary frequencies are made, from either style of config.json. */
export const ropeSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('default'), theta: z.number().positive() }),
  z.object({ type: z.literal('linear'), theta: z.number().positive(), factor: z.number().positive() }),
  z.object({
    type: z.literal('llama3'),
    theta: z.number().positive(),
    factor: z.number().positive(),
    low_freq_factor: z.number().positive(),
    high_freq_factor: z.number().positive(),
    original_max_position_embeddings: z.number().positive(),
  }),
]);

export type Rope = z.output<typeof ropeSchema>;

/**
 * Brings `rope_parameters` (transformers 5) and `rope_theta` with `rope_scaling` (before it) to one form, unchecked.
 * Old files call the type `type`.
 */
export function normalizeRope(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const given = (config.rope_parameters ?? config.rope_scaling ?? {}) as Record<string, unknown>;
  return {
    original_max_position_embeddings: config.max_position_embeddings,
    ...given,
    type: given.rope_type ?? given.type ?? 'default',
    theta: given.rope_theta ?? config.rope_theta ?? 10000,
  };
}

/**
 * Angles for each position, `[headSize / 2]`: `theta^(-2i / headSize)` (Su et al. 2021, RoFormer), stretched by the scaling.
 * `llama3` stretches long wavelengths by `factor`, leaves short ones, and blends in between (Llama 3.1).
 */
export function rotaryFrequencies(rope: Rope, headSize: number): Float64Array {
  return Float64Array.from({ length: headSize / 2 }, (_, index) => {
    const frequency = rope.theta ** ((-2 * index) / headSize);
    if (rope.type === 'default') return frequency;
    if (rope.type === 'linear') return frequency / rope.factor;
    const { low_freq_factor: low, high_freq_factor: high } = rope;
    const turns = (rope.original_max_position_embeddings * frequency) / (2 * Math.PI);
    const blend = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return frequency * (blend + (1 - blend) / rope.factor);
  });
}
