import { batch, oneOf } from './bench-run.ts';
import type { Timed } from './clock.ts';
import { hasMpirun, measureOurs, measurePeer, measureProcesses } from './measure.ts';
import { type BenchModel, benchModels } from './models.ts';
import { modes } from './modes.ts';
import type { ShardedTimed } from './sharded-step.ts';
import { table } from './table.ts';
import { bestOf, type Results, runners, targets, verdict, type Workload, workloads } from './targets.ts';

// One DPO step, full training: `npm run bench` times ours; with PEERS_HOME also TRL and hand-written PyTorch on the
// same work, in turn, so that a machine whose speed drifts is fair to all. README.md lists the variables.
const { PEERS_HOME: peersHome = '', RECOMPUTE: recompute } = process.env;
const rounds = Number(process.env.ROUNDS ?? 2);
const models = listed(process.env.MODELS, Object.keys(benchModels) as BenchModel[]);
const chosen = listed<Workload>(process.env.WORKLOADS, workloads);

const tokensPerStep = batch.pairs * 2 * (batch.promptTokens + batch.completionTokens);
const work = { tiny: { peer: 'tiny-qwen2', steps: 25 }, '0.1b': { peer: 'qwen2-0.1b', steps: 10 } } as const;
const titles: Readonly<Record<Workload, string>> = {
  cloned: 'cloned reference',
  cached: 'cached reference',
  sync: 'clone moved after every step',
  lora: 'LoRA of rank 16 on all linears',
  sharded: 'cloned reference, on one rank and on two',
};
// what the peers' scripts call the same work
const theirNames = {
  cloned: { trl: 'reload', byHand: 'raw' },
  cached: { trl: 'precompute', byHand: 'rawpre' },
  sync: { trl: 'sync', byHand: undefined },
  lora: { trl: 'lora', byHand: 'lora' },
  sharded: undefined,
} as const;

const trafficHead = ['MB gathered a step', 'by formula', 'MB reduced', 'by formula', 'gathering ms', 'hidden'];
const theirs: readonly string[] = [runners.trl, runners.byHand, runners.deepSpeed];

for (const model of models) {
  const results: Partial<Record<Workload, ReadonlyMap<string, Timed>>> = {};
  for (const workload of chosen) {
    results[workload] = inTurn(runnersOf(model, workload), workload);
    print(model, workload, results[workload]);
  }
  printTargets(model, results);
}

function runnersOf(model: BenchModel, workload: Workload): Map<string, () => Timed> {
  const { peer, steps } = work[model];
  const all = new Map<string, () => Timed>();
  for (const mode of workload === 'cloned' ? modes : (['compiled'] as const)) {
    const options = recompute === undefined ? [] : ['--recompute', recompute];
    const args = [model, String(steps), '--mode', mode, '--workload', workload, ...options];
    all.set(runners[mode], () => measureOurs('dpo-step.ts', args));
  }
  if (workload === 'sharded') {
    const args = [model, String(steps), '--workload', workload, '--ranks', '2', '--transport'];
    all.set(runners.threads, () => measureOurs('sharded-step.ts', [...args, 'threads']));
    if (hasMpirun) all.set(runners.processes, () => measureProcesses(2, 'sharded-step.ts', [...args, 'mpi']));
  }
  if (peersHome !== '') {
    const args = ['--model', peer, '--steps', String(steps)];
    const names = theirNames[workload];
    if (names === undefined) {
      all.set(runners.deepSpeed, () => measurePeer(peersHome, 'bench_zero3.py', args, 2));
      return all;
    }
    const { trl, byHand } = names;
    all.set(runners.trl, () => measurePeer(peersHome, 'bench_trl.py', [...args, '--mode', trl]));
    if (byHand !== undefined)
      all.set(runners.byHand, () => measurePeer(peersHome, 'bench_bare.py', [...args, '--variant', byHand]));
  }
  return all;
}

function inTurn(all: ReadonlyMap<string, () => Timed>, workload: Workload): Map<string, Timed> {
  const seen = new Map<string, Timed[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of all) {
      // before its first step it scores all 512 pairs, which takes minutes
      if (round > 0 && workload === 'cached' && name === runners.trl) continue;
      seen.set(name, [...(seen.get(name) ?? []), run()]);
    }
  }
  return new Map([...seen].map(([name, runs]) => [name, bestOf(runs)]));
}

function print(model: BenchModel, workload: Workload, best: ReadonlyMap<string, Timed>): void {
  const [trl, byHand] = [best.get(runners.trl), best.get(runners.byHand)];
  const against = (ours: number, theirs: number | undefined) =>
    theirs === undefined ? '' : (ours / theirs).toFixed(2);
  const head = [
    'min ms',
    'median ms',
    'tokens/s',
    'peak MiB',
    'first step s',
    'time of TRL',
    'time by hand',
    'memory of TRL',
  ];
  const rows = [...best].map(([name, timed]) => [
    theirs.includes(name) ? name : `mooring, ${name}`,
    timed.min_ms.toFixed(0),
    timed.med_ms.toFixed(0),
    ((1000 * tokensPerStep) / timed.min_ms).toFixed(0),
    timed.rss_peak.toFixed(0),
    timed.first_step_s.toFixed(1),
    against(timed.min_ms, trl?.min_ms),
    against(timed.min_ms, byHand?.min_ms),
    against(timed.rss_peak, trl?.rss_peak),
  ]);
  console.log(`\n${model}, ${titles[workload]}: 4 pairs of 64 + 64 tokens, best of ${rounds} runs each`);
  console.log(table([['', ...head], ...rows]));
  const traffic = [...best].flatMap(([name, timed]) => trafficOf(name, timed));
  if (traffic.length > 0) console.log(`\n${table([['', ...trafficHead], ...traffic])}`);
}

/** What ranks said to each other in a step, where there were some. */
function trafficOf(name: string, timed: Timed & Partial<ShardedTimed>): string[][] {
  if (timed.gathered === undefined) return [];
  const megabytes = (bytes = 0) => (bytes / 1e6).toFixed(3);
  const { gathered, gathered_formula, reduced, reduced_formula, gathering_ms = 0, hidden_share = 0 } = timed;
  const bytes = [gathered, gathered_formula, reduced, reduced_formula].map(megabytes);
  return [[name, ...bytes, gathering_ms.toFixed(0), `${(100 * hidden_share).toFixed(0)} %`]];
}

function printTargets(model: BenchModel, results: Results): void {
  const lines = targets.map((target) => verdict(target, model, results));
  console.log(`\n${table([[`${model}: target`, 'at most', 'measured', ''], ...lines])}`);
}

/** The names in a comma-separated variable; all of them where it is not set. */
function listed<Name extends string>(variable: string | undefined, all: readonly Name[]): readonly Name[] {
  return variable === undefined ? all : variable.split(',').map((name) => oneOf(name, all));
}
