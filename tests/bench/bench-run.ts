import { parseArgs } from 'node:util';
import { createTrainer, type Plugin, type TrainSettings } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { emptyFolder } from './empty-folder.ts';
import { type BenchModel, benchModels, modelFolder } from './models.ts';
import { type Mode, modeSettings, modes, recomputes } from './modes.ts';
import { randomPairs } from './random-pairs.ts';
import { type Workload, workloads } from './targets.ts';

/** What is run: a model, for so many steps, and how. */
export interface BenchRun {
  readonly model: BenchModel;
  readonly steps: number;
  readonly mode: Mode;
  readonly workload: Workload;
  readonly recompute: TrainSettings['recompute'];
  readonly sharePrompts: boolean;
  /** Of a run that is sharded. */
  readonly ranks?: number | undefined;
  readonly transport?: 'threads' | 'mpi' | undefined;
  /** What provides the reference, where it is no clone. */
  readonly provider?: Plugin | undefined;
}

/** The pairs of a batch: the same as the peers' `make_data.py`. */
export const batch = { pairs: 4, promptTokens: 64, completionTokens: 64 } as const;

/** Reads `tiny 25 --mode eager --workload cached --recompute block` from the command line. */
export function readBenchRun(): BenchRun {
  const options = {
    mode: { type: 'string' },
    workload: { type: 'string' },
    recompute: { type: 'string' },
    unshared: { type: 'boolean' },
    ranks: { type: 'string' },
    transport: { type: 'string' },
  } as const;
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  const [model = 'tiny', steps = '25'] = positionals;
  return {
    model: oneOf(model, Object.keys(benchModels) as BenchModel[]),
    steps: Number(steps),
    mode: oneOf(values.mode ?? 'compiled', modes),
    workload: oneOf(values.workload ?? 'cloned', workloads),
    recompute: oneOf(values.recompute ?? 'none', recomputes),
    sharePrompts: values.unshared !== true,
    ...(values.ranks !== undefined && { ranks: Number(values.ranks) }),
    ...(values.transport !== undefined && { transport: oneOf(values.transport, ['threads', 'mpi'] as const) }),
  };
}

/** The plugins of each workload. The settings are those that the peers' scripts give TRL. */
const references: Readonly<Record<Workload, () => Plugin[]>> = {
  cloned: () => [refClone()],
  sharded: () => [refClone()],
  cached: () => [refCache({ directory: emptyFolder() })],
  sync: () => [refClone(), syncRefModel({ everySteps: 1, mixupAlpha: 0.6 })],
  lora: () => [peftLora({ r: 16, alpha: 32, targetModules: 'all-linear' })],
};

/** Trains on random pairs with the settings of the peers, and with `plugins` after all others. */
export function trainBench(run: BenchRun, ...plugins: readonly Plugin[]) {
  const { model, steps, mode, workload, recompute, sharePrompts, provider } = run;
  const trainer = createTrainer({
    model: modelFolder(model),
    train: {
      steps,
      learningRate: 1e-4,
      schedule: 'constant',
      batchSize: batch.pairs,
      ...modeSettings(mode, recompute),
    },
  }).use(
    causalLm(),
    randomPairs({ ...batch, sharePrompts, vocabulary: Math.min(8192, benchModels[model].vocabulary) }),
    dpo({ beta: 0.1 }),
    ...(provider === undefined ? references[workload]() : [provider]),
    ...plugins,
  );
  return trainer.train();
}

/** The name if it is one of those known. Ends the process otherwise. */
export function oneOf<Name extends string>(name: string, known: readonly Name[]): Name {
  const found = known.find((each) => each === name);
  if (found !== undefined) return found;
  console.error(`${name} is not one of ${known.join(', ')}. Nothing was timed.`);
  process.exit(1);
}
