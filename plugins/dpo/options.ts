import { z } from 'zod';
import { failure } from './errors.ts';

/** The losses by TRL's names. */
export const lossTypes = [
  'sigmoid',
  'hinge',
  'ipo',
  'robust',
  'exo_pair',
  'nca_pair',
  'bco_pair',
  'sppo_hard',
  'aot',
  'aot_unpaired',
  'apo_zero',
  'apo_down',
  'discopop',
  'sft',
  'sigmoid_norm',
] as const;
export type LossType = (typeof lossTypes)[number];

/** How far the policy is from the reference, by TRL's names. */
export const divergenceTypes = ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'] as const;
export type DivergenceType = (typeof divergenceTypes)[number];

const lossType = z.enum(lossTypes);
const listed = `one of ${lossTypes.join(', ')}`;

/** Options of `dpo`: TRL's names in camel case, and TRL's defaults. */
export const optionsSchema = z.strictObject({
  lossType: z
    .union([lossType.transform((name) => [name]), z.array(lossType).min(1)], {
      error: `expected ${listed}, or a list of them`,
    })
    .default(['sigmoid']),
  lossWeights: z.array(z.number()).optional(),
  beta: z.number().positive().default(0.1),
  labelSmoothing: z.number().min(0).lt(1).default(0),
  fDivergenceType: z.enum(divergenceTypes).default('reverse_kl'),
  fAlphaDivergenceCoef: z.number().default(0.5),
  useWeighting: z.boolean().default(false),
  ldAlpha: z.number().min(0).max(1).optional(),
  discopopTau: z.number().positive().default(0.05),
});
export type DpoOptions = z.output<typeof optionsSchema>;

/** The losses that read `labelSmoothing`. */
const smoothed: readonly LossType[] = ['robust', 'exo_pair', 'aot', 'aot_unpaired'];
const sorting: readonly LossType[] = ['aot', 'aot_unpaired'];

/** Whether a loss sorts the rows of its batch, so that it depends on which rows come together. */
export function couplesRows(type: LossType): boolean {
  return sorting.includes(type);
}

/**
 * Refuses options that contradict one another; returns what is allowed but surely not meant, as a sentence.
 * Throws LOSS_WEIGHTS_LENGTH, LABEL_SMOOTHING_TOO_LARGE, LABEL_SMOOTHING_MISSING and WEIGHTING_WITH_SORTING.
 */
export function checkCombination(options: DpoOptions): string | undefined {
  const { lossType: types, lossWeights, labelSmoothing, useWeighting } = options;
  if (lossWeights !== undefined && lossWeights.length !== types.length)
    throw failure('LOSS_WEIGHTS_LENGTH', { types: types.length, weights: lossWeights.length });
  if (types.includes('robust') && labelSmoothing >= 0.5) throw failure('LABEL_SMOOTHING_TOO_LARGE', { labelSmoothing });
  if (types.includes('exo_pair') && labelSmoothing === 0) throw failure('LABEL_SMOOTHING_MISSING', {});
  const sorts = types.find(couplesRows);
  if (useWeighting && sorts !== undefined) throw failure('WEIGHTING_WITH_SORTING', { lossType: sorts });
  const isIgnored = labelSmoothing > 0 && !types.some((type) => smoothed.includes(type));
  return isIgnored ? `labelSmoothing has no effect: only ${smoothed.join(', ')} read it, as in TRL` : undefined;
}
