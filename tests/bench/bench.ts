import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchModel } from './models.ts';

// One DPO step, full training with a cloned reference: `npm run bench` times ours; with PEERS_HOME also TRL and
// hand-written PyTorch on the same work, in turn, so that a machine whose speed drifts is fair to all.
const here = fileURLToPath(new URL('.', import.meta.url));
const peersHome = process.env.PEERS_HOME;
const rounds = Number(process.env.ROUNDS ?? 2);

/** What a measurement says of itself, in milliseconds and MiB. */
interface Measured {
  readonly min_ms: number;
  readonly med_ms: number;
  readonly rss_peak: number;
  /** Seconds from process start to the end of the first step. */
  readonly first_step_s: number;
}

const work: Readonly<Record<BenchModel, { peer: string; steps: number }>> = {
  tiny: { peer: 'tiny-qwen2', steps: 25 },
  '0.1b': { peer: 'qwen2-0.1b', steps: 10 },
};

for (const [model, { peer, steps }] of Object.entries(work)) {
  const runs: Record<string, () => Measured> = { 'mooring, eager': () => ours(model, steps) };
  if (peersHome !== undefined) {
    runs.TRL = () => theirs('bench_trl.py', ['--model', peer, '--mode', 'reload', '--steps', String(steps)]);
    runs['PyTorch by hand'] = () =>
      theirs('bench_bare.py', ['--model', peer, '--variant', 'raw', '--steps', String(steps)]);
  }
  const seen = new Map<string, Measured[]>(Object.keys(runs).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(runs)) seen.get(name)?.push(run());
  }
  print(model, seen);
}

function ours(model: string, steps: number): Measured {
  return measure(process.execPath, [
    '--import',
    path.join(here, '../../core/cli/register.js'),
    path.join(here, 'dpo-step.ts'),
    model,
    String(steps),
  ]);
}

function theirs(script: string, args: readonly string[]): Measured {
  const python = path.join(String(peersHome), 'venv/bin/python');
  if (!existsSync(python)) {
    console.error(`${python} does not exist. The peers cannot be timed. Make it as tests/bench/README.md says.`);
    process.exit(1);
  }
  const told = measure(python, [path.join(here, 'peers', script), ...args]) as Measured & Record<string, number>;
  const start = told.t_start ?? (told.t_import ?? 0) + (told.t_load ?? 0) + (told.t_ctor ?? 0);
  return { ...told, first_step_s: start + (told.first_ms ?? told.med_ms) / 1000 };
}

function measure(command: string, args: readonly string[]): Measured {
  const told = execFileSync(command, [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(told.trim().split('\n').at(-1) ?? '{}');
}

function print(model: string, seen: ReadonlyMap<string, readonly Measured[]>): void {
  const tokens = 4 * 2 * 128;
  const best = (runs: readonly Measured[], of: (run: Measured) => number) => Math.min(...runs.map(of));
  const yardstick = seen.get('TRL');
  const ratio = (runs: readonly Measured[], of: (run: Measured) => number) =>
    yardstick === undefined ? '' : (best(runs, of) / best(yardstick, of)).toFixed(2);
  console.log(`\n${model}: 4 pairs of 64 + 64 tokens, ${rounds} runs each`);
  console.log(line('', 'min ms', 'median ms', 'tokens/s', 'peak MiB', 'first step s', 'time of TRL', 'memory of TRL'));
  for (const [name, runs] of seen) {
    const fastest = best(runs, (run) => run.min_ms);
    console.log(
      line(
        name,
        fastest.toFixed(0),
        best(runs, (run) => run.med_ms).toFixed(0),
        ((1000 * tokens) / fastest).toFixed(0),
        best(runs, (run) => run.rss_peak).toFixed(0),
        best(runs, (run) => run.first_step_s).toFixed(1),
        ratio(runs, (run) => run.min_ms),
        ratio(runs, (run) => run.rss_peak),
      ),
    );
  }
}

function line(name: string, ...cells: readonly string[]): string {
  return name.padEnd(18) + cells.map((cell) => cell.padStart(14)).join('');
}
