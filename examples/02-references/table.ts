import { mebibytes } from '../01-self-play/table.ts';
import type { Told } from './run.ts';

/** What each reference costs and came to, a line each, for the terminal and the README. */
export function tableOf(told: readonly (readonly [name: string, Told])[]): string {
  const head = [
    'reference',
    'its bytes',
    'peak of the process',
    'ms for a step',
    'held-out accuracy',
    'KL, nats a token',
  ];
  const rows = told.map(([name, { report, peakBytes }]) => [
    name,
    mebibytes(report.referenceBytes),
    mebibytes(peakBytes),
    report.millisecondsPerStep.toFixed(0),
    report.after.accuracy.toFixed(3),
    report.klPerToken?.toFixed(4) ?? 'not known',
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('   ');
  return all.map(line).join('\n');
}
