/**
 * What gradients of a global 2-norm are multiplied by so that it is at most `maxNorm`: torch's `clip_grad_norm_`,
 * `min(1, maxNorm / (norm + 1e-6))`.
 */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
