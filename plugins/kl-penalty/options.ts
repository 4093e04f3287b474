import type { DivergenceName } from 'mooring';
import { z } from 'zod';
import { failure } from './errors.ts';

/** The directions, and the output of a pass that each is. */
export const directions = {
  'policy-reference': 'kl',
  'reference-policy': 'referenceKl',
  'jensen-shannon': 'jensenShannon',
} as const satisfies Record<string, DivergenceName>;

/** Options of `kl-penalty`. */
export const optionsSchema = z.strictObject({
  beta: z.number().min(0).default(0.1),
  estimator: z.enum(['exact', 'k1', 'k2', 'k3']).default('exact'),
  direction: z.enum(Object.keys(directions) as (keyof typeof directions)[]).optional(),
  gradient: z.enum(['value', 'unbiased']).optional(),
});
export type KlPenaltyOptions = z.output<typeof optionsSchema>;

/** Refuses options that contradict one another. Throws KL_OPTION_UNREAD and KL_K1_TEACHES_NOTHING. */
export function checkCombination({ estimator, direction, gradient }: KlPenaltyOptions): void {
  const unread = (option: string, instead: string) => failure('KL_OPTION_UNREAD', { option, estimator, instead });
  if (estimator !== 'exact' && direction !== undefined) throw unread('direction', '`estimator: exact`');
  if (estimator === 'exact' && gradient !== undefined) throw unread('gradient', 'one of k1, k2 and k3');
  if (estimator === 'k1' && gradient !== 'unbiased') throw failure('KL_K1_TEACHES_NOTHING', {});
}
