import type { StepRecord } from 'mooring';

/** The figures worth watching, by their short names; the record has them all. */
const watched = { loss: 'loss', margin: 'rewards/margins', accuracy: 'rewards/accuracies' } as const;

/** `loss 0.6931  margin 0.012  accuracy 0.75  1843 tokens/s  1:23 left` */
export function formatStep(record: StepRecord, tokensPerSecond: number, secondsLeft: number): string {
  const speed = `${Math.round(tokensPerSecond)} tokens/s`;
  return [...figuresOf(record, ''), speed, `${formatDuration(secondsLeft)} left`].join('  ');
}

/** The same figures of an evaluation. */
export function formatEvaluation(figures: StepRecord): string {
  return figuresOf(figures, 'eval_').join('  ');
}

/** `1:23` or `2:05:10` */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}

function figuresOf(record: StepRecord, prefix: string): string[] {
  return Object.entries(watched).flatMap(([label, name]) => {
    const value = record[`${prefix}${name}`];
    return value === undefined ? [] : [`${label} ${value.toPrecision(4)}`];
  });
}
