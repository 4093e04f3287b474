/** A figure of evaluations by which checkpoints are judged. */
export interface BestFigure {
  readonly figure: string;
  /** Default: `min` for losses, whose names end so, and `max` for every other. */
  readonly mode?: 'min' | 'max';
}

/** Whether a value is better than the best so far; one that is not finite never is, and of equals the first stays. */
export function isBetter({ figure, mode }: BestFigure, value: number, best: number | undefined): boolean {
  if (!Number.isFinite(value)) return false;
  if (best === undefined) return true;
  const isLess = (mode ?? (/loss$/.test(figure) ? 'min' : 'max')) === 'min';
  return isLess ? value < best : value > best;
}
