import type { Timed } from './clock.ts';
import type { BenchModel } from './models.ts';

/**
 * What a step does: full training with a clone that scores in every step, with log-probabilities known beforehand, with a
 * clone that moves after every step; LoRA of rank 16 on all linears, against the base with its adapters off; or the first
 * on two ranks, ZeRO-3, each with one thread and half of the rows.
 */
export const workloads = ['cloned', 'cached', 'sync', 'lora', 'sharded'] as const;

/** A workload's name. */
export type Workload = (typeof workloads)[number];

/** The best of each runner's runs, by workload and the runner's name. */
export type Results = Readonly<Partial<Record<Workload, ReadonlyMap<string, Timed>>>>;

/** What a step should cost at most, as a ratio to a peer or in seconds. */
export interface Target {
  readonly what: string;
  readonly limit: Readonly<Record<BenchModel, number>>;
  readonly unit: '' | ' s';
  /** `undefined` where a side was not run. */
  readonly measured: (results: Results) => number | undefined;
}

/** The runners' names. */
export const runners = {
  ...{ compiled: 'compiled', eager: 'eager', trl: 'TRL', byHand: 'PyTorch by hand' },
  ...{ threads: 'ZeRO-3, 2 threads', processes: 'ZeRO-3, 2 processes', deepSpeed: 'DeepSpeed ZeRO-3, 2 processes' },
} as const;

/** What we hold ourselves to on 2 cores. Ratios are of minima. */
export const targets: readonly Target[] = [
  {
    what: 'cloned reference: of the time of TRL',
    limit: { tiny: 0.4, '0.1b': 0.45 },
    unit: '',
    measured: ({ cloned }) => ratio(cloned, runners.trl, (timed) => timed.min_ms),
  },
  {
    what: 'cloned reference: of the time of PyTorch by hand',
    limit: { tiny: 0.75, '0.1b': 0.7 },
    unit: '',
    measured: ({ cloned }) => ratio(cloned, runners.byHand, (timed) => timed.min_ms),
  },
  {
    what: 'cached reference: of the time of PyTorch by hand',
    limit: { tiny: 0.75, '0.1b': 0.7 },
    unit: '',
    measured: ({ cached }) => ratio(cached, runners.byHand, (timed) => timed.min_ms),
  },
  {
    what: 'cloned reference: of the peak memory of TRL',
    limit: { tiny: 0.6, '0.1b': 0.7 },
    unit: '',
    measured: ({ cloned }) => ratio(cloned, runners.trl, (timed) => timed.rss_peak),
  },
  {
    what: 'cached reference: of the time of TRL',
    limit: { tiny: 0.45, '0.1b': 0.45 },
    unit: '',
    measured: ({ cached }) => ratio(cached, runners.trl, (timed) => timed.min_ms),
  },
  {
    what: 'LoRA: of the time of TRL',
    limit: { tiny: 0.4, '0.1b': 0.5 },
    unit: '',
    measured: ({ lora }) => ratio(lora, runners.trl, (timed) => timed.min_ms),
  },
  {
    what: 'LoRA: of the peak memory of TRL',
    limit: { tiny: 0.65, '0.1b': 0.65 },
    unit: '',
    measured: ({ lora }) => ratio(lora, runners.trl, (timed) => timed.rss_peak),
  },
  {
    what: 'cached reference: of the peak memory of TRL',
    limit: { tiny: 0.65, '0.1b': 0.65 },
    unit: '',
    measured: ({ cached }) => ratio(cached, runners.trl, (timed) => timed.rss_peak),
  },
  {
    what: 'moved clone: of the peak memory of TRL',
    limit: { tiny: 0.65, '0.1b': 0.65 },
    unit: '',
    measured: ({ sync }) => ratio(sync, runners.trl, (timed) => timed.rss_peak),
  },
  {
    what: 'ZeRO-3 on 2 threads: of the time of one rank',
    limit: { tiny: 1.25, '0.1b': 1.25 },
    unit: '',
    measured: ({ sharded }) => shardedRatio(sharded, runners.threads, runners.compiled),
  },
  {
    what: 'ZeRO-3 on 2 processes: of the time of one rank',
    limit: { tiny: 1.25, '0.1b': 1.25 },
    unit: '',
    measured: ({ sharded }) => shardedRatio(sharded, runners.processes, runners.compiled),
  },
  {
    what: 'process start to first step done, compiled',
    limit: { tiny: 6, '0.1b': 20 },
    unit: ' s',
    measured: ({ cloned }) => cloned?.get(runners.compiled)?.first_step_s,
  },
  {
    what: 'process start to first step done, eager',
    limit: { tiny: 2, '0.1b': 8 },
    unit: ' s',
    measured: ({ cloned }) => cloned?.get(runners.eager)?.first_step_s,
  },
];

/** The smallest of each figure over several runs of one runner. */
export function bestOf(runs: readonly Timed[]): Timed {
  const least = (of: (timed: Timed) => number) => Math.min(...runs.map(of));
  return {
    // what else a fast run says
    ...runs.reduce((one, other) => (other.min_ms < one.min_ms ? other : one)),
    steps: least((timed) => timed.steps),
    min_ms: least((timed) => timed.min_ms),
    med_ms: least((timed) => timed.med_ms),
    first_step_s: least((timed) => timed.first_step_s),
    rss_peak: least((timed) => timed.rss_peak),
  };
}

/** A target's line: what it is, the limit, what was measured, and whether that is within the limit. */
export function verdict({ what, limit, unit, measured }: Target, model: BenchModel, results: Results): string[] {
  const figure = measured(results);
  const most = `${limit[model]}${unit}`;
  if (figure === undefined) return [what, most, '', 'not measured'];
  return [what, most, `${figure.toFixed(2)}${unit}`, figure <= limit[model] ? 'met' : 'not met'];
}

function shardedRatio(by: ReadonlyMap<string, Timed> | undefined, ranks: string, than: string): number | undefined {
  const [ours, theirs] = [by?.get(ranks)?.min_ms, by?.get(than)?.min_ms];
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}

/** Ours, compiled where that was run, against a peer. */
function ratio(by: ReadonlyMap<string, Timed> | undefined, peer: string, figure: (timed: Timed) => number) {
  const ours = by?.get(runners.compiled) ?? by?.get(runners.eager);
  const theirs = by?.get(peer);
  return ours === undefined || theirs === undefined ? undefined : figure(ours) / figure(theirs);
}
