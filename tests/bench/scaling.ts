import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Timed } from './clock.ts';
import { drawPanels } from './draw-panels.ts';
import { fitExponent, type Measurement, upperHalf } from './fit-exponent.ts';
import { measureOurs } from './measure.ts';
import { type Mode, modes } from './modes.ts';
import { type SweepName, sweepNames, sweeps } from './sweeps.ts';
import { table } from './table.ts';

// measures how a step's time and memory grow, prints a table, and writes scaling.svg and scaling.json:
// node ... scaling.ts [FOLDER, docs by default] [quick: only the ends of each range and one point between]
const options = process.argv.slice(2);
const isQuick = options.includes('quick');
const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const folder = options.find((option) => option !== 'quick') ?? docs;

/** What one process measured. `addedMiB` is what weights and steps took at their peak, beyond the open engine. */
interface Point {
  readonly value: number;
  readonly minMs: number;
  readonly medianMs: number;
  readonly peakMiB: number;
  readonly addedMiB: number;
}

/** How one mode grows over one sweep. Exponents are of `minMs` and of `addedMiB`. */
interface Growth {
  readonly mode: Mode;
  readonly exponents: Readonly<Record<'time' | 'timeUpperHalf' | 'memory' | 'memoryUpperHalf', number>>;
  readonly points: readonly Point[];
}

const figures = sweepNames.map((name) => {
  const growths = measureGrowths(name);
  print(name, growths);
  return { name, growths };
});
writeFileSync(path.join(folder, 'scaling.svg'), draw());
const json = {
  cores: availableParallelism(),
  sweeps: figures,
};
writeFileSync(path.join(folder, 'scaling.json'), `${JSON.stringify(json, null, 2)}\n`);

/** Every point in every mode, the modes in turn, so that a machine whose speed drifts is fair to both. */
function measureGrowths(name: SweepName): Growth[] {
  const { values } = sweeps[name];
  const ends = [0, Math.floor(values.length / 2), values.length - 1];
  const chosen = isQuick ? ends.map((at) => values[at] as number) : values;
  const points = chosen.map((value) => modes.map((mode) => measurePoint(name, value, mode)));
  return modes.map((mode, index) =>
    growthOf(
      mode,
      points.map((byMode) => byMode[index] as Point),
    ),
  );
}

function measurePoint(name: SweepName, value: number, mode: Mode): Point {
  const args = [name, String(value), mode];
  const timed = measureOurs<Timed & { rss_at_setup: number }>('scaling-step.ts', args);
  return {
    value,
    minMs: tenths(timed.min_ms),
    medianMs: tenths(timed.med_ms),
    peakMiB: Math.round(timed.rss_peak),
    addedMiB: Math.round(timed.rss_peak - timed.rss_at_setup),
  };
}

function growthOf(mode: Mode, points: readonly Point[]): Growth {
  const times = points.map(({ value, minMs }): Measurement => [value, minMs]);
  const added = points.map(({ value, addedMiB }): Measurement => [value, addedMiB]);
  const exponents = {
    time: hundredths(fitExponent(times)),
    timeUpperHalf: hundredths(fitExponent(upperHalf(times))),
    memory: hundredths(fitExponent(added)),
    memoryUpperHalf: hundredths(fitExponent(upperHalf(added))),
  };
  return { mode, exponents, points };
}

function print(name: SweepName, growths: readonly Growth[]): void {
  const columns = growths.flatMap(({ mode }) => [`${mode}, min ms`, 'median ms', 'peak MiB', 'added MiB']);
  const lines = (growths[0]?.points ?? []).map(({ value }, index) => [
    String(value),
    ...growths.flatMap(({ points }) => {
      const point = points[index];
      return point === undefined ? [] : [point.minMs, point.medianMs, point.peakMiB, point.addedMiB].map(String);
    }),
  ]);
  console.log(`\n${table([[sweeps[name].label, ...columns], ...lines])}`);
  for (const { mode, exponents } of growths) {
    const { time, timeUpperHalf, memory, memoryUpperHalf } = exponents;
    console.log(
      `${mode}: time ^${time}, upper half ^${timeUpperHalf}; memory ^${memory}, upper half ^${memoryUpperHalf}`,
    );
  }
}

function draw(): string {
  return drawPanels(
    `Time of a DPO step against ${sweepNames.join(', ')}`,
    figures.map(({ name, growths }) => ({
      title: `Step time against ${name}`,
      xLabel: sweeps[name].label,
      yLabel: 'ms for a step',
      lines: growths.map(({ mode, exponents, points }) => ({
        name: mode,
        legend: `exponent ${exponents.time.toFixed(2)}, upper half ${exponents.timeUpperHalf.toFixed(2)}`,
        measurements: points.map(({ value, minMs }) => [value, minMs]),
      })),
    })),
  );
}

function tenths(value: number): number {
  return Math.round(10 * value) / 10;
}

function hundredths(value: number): number {
  return Math.round(100 * value) / 100;
}
