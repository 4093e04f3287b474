import type { SimulatedStep } from './simulate-step.ts';

/** A line for each number of ranks. Takes what a step is with and without prefetch. */
export interface ChartRow {
  readonly ranks: number;
  readonly prefetched: SimulatedStep;
  readonly plain: SimulatedStep;
}

/** The figures of each number of ranks, times in a unit that suits them. */
export function tableOf(rows: readonly ChartRow[]): string {
  const [unit, factor] = unitOf(Math.max(...rows.map(({ plain }) => plain.total)));
  const time = (seconds: number) => (seconds * factor).toPrecision(4);
  const head = [
    'ranks',
    'compute',
    'network',
    `no prefetch, ${unit}`,
    `prefetch, ${unit}`,
    'gathers hidden',
    'efficiency',
  ];
  const lines = rows.map(({ ranks, prefetched, plain }) => [
    String(ranks),
    time(plain.compute),
    time(plain.network),
    time(plain.total),
    time(prefetched.total),
    prefetched.gathers === 0 ? '-' : percent(prefetched.hiddenGathers / prefetched.gathers),
    percent(prefetched.compute / prefetched.total),
  ]);
  const all = [head, ...lines];
  const widths = head.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all.map((line) => line.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n');
}

/** A bar for each number of ranks with prefetch: `#` computes, `.` waits for the network. */
export function chartOf(rows: readonly ChartRow[], width = 64): string {
  const longest = Math.max(...rows.map(({ prefetched }) => prefetched.total));
  const columns = (seconds: number) => Math.round((seconds / longest) * width);
  const lines = rows.map(({ ranks, prefetched: { compute, total } }) => {
    const computing = columns(compute);
    return `${String(ranks).padStart(5)} ${'#'.repeat(computing)}${'.'.repeat(Math.max(0, columns(total) - computing))}`;
  });
  return lines.join('\n');
}

function unitOf(longest: number): [string, number] {
  return longest < 1 ? ['ms', 1000] : ['s', 1];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
