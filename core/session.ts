import type { RunConfig } from './config.ts';
import { failure } from './failure.ts';
import type { ComingPasses, Run, Step, StepRecord } from './hook-arguments.ts';
import type { CallFace, Hooks } from './hooks/registry.ts';
import type { Ledger } from './ledger.ts';
import { optional, type Services } from './plugin.ts';
import * as Tokens from './tokens.ts';

/** The services that the loop itself uses. */
export const coreUses = {
  config: Tokens.RunConfig,
  engine: Tokens.Engine,
  clock: Tokens.Clock,
  random: Tokens.Random,
  log: Tokens.Log,
  store: Tokens.ParameterStore,
  driver: Tokens.Driver,
  optimizer: Tokens.Optimizer,
  schedule: Tokens.Schedule,
  model: Tokens.Model,
  objective: Tokens.Objective,
  data: Tokens.DataSource,
  evaluationData: optional(Tokens.EvaluationData),
  reference: optional(Tokens.Reference),
} as const;

/** Everything that the loop works with, as plain values. */
export interface Session extends Services<typeof coreUses> {
  readonly hooks: CallFace;
  readonly runner: Hooks['runner'];
  readonly ledger: Ledger;
  readonly run: RunState;
  /** Saves the weights as they are, after a failed step; says where, or why not. */
  readonly saveLastGood: () => Promise<string>;
}

/** The run's progress, and what plugins may ask of it. */
export class RunState implements Run {
  readonly config: RunConfig;
  readonly steps: number;
  readonly rank = 0;
  readonly ranks = 1;
  step = 0;
  record: StepRecord | undefined;
  evaluation: StepRecord | undefined;
  stopReason: string | undefined;
  private readonly controller = new AbortController();
  private readonly accounts: Ledger;
  private readonly evaluateNow: () => Promise<StepRecord>;
  readonly passes: () => ComingPasses;

  constructor(
    config: RunConfig,
    steps: number,
    accounts: Ledger,
    ahead: { readonly evaluate: () => Promise<StepRecord>; readonly passes: () => ComingPasses },
  ) {
    this.config = config;
    this.steps = steps;
    this.accounts = accounts;
    this.evaluateNow = ahead.evaluate;
    this.passes = ahead.passes;
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  requestStop(reason: string): void {
    this.stopReason ??= reason;
    this.controller.abort(this.stopReason);
  }

  evaluate(): Promise<StepRecord> {
    return this.evaluateNow();
  }

  get millisecondsAwaitingData(): number {
    return this.accounts.millisecondsAwaitingData;
  }

  ledger(of: 'run' | 'step' = 'run') {
    return this.accounts.entries(of);
  }
}

/** How many optimizer steps an epoch and the run have. The last step of an epoch takes what is left of it. */
export function countSteps(config: RunConfig, batchesPerEpoch: number): { perEpoch: number; steps: number } {
  const { steps, epochs, gradientAccumulationSteps } = config.train;
  const perEpoch = Math.ceil(batchesPerEpoch / gradientAccumulationSteps);
  const total = steps ?? Math.ceil(epochs * perEpoch);
  if (perEpoch < 1 || total < 1) throw failure('NO_STEPS', { batches: batchesPerEpoch, epochs });
  return { perEpoch, steps: total };
}

/** The step of an index, counted from 1. */
export function stepAt({ config, data, run }: Pick<Session, 'config' | 'data' | 'run'>, index: number): Step {
  const { perEpoch } = countSteps(config, data.batchesPerEpoch);
  return { index, steps: run.steps, epoch: Math.floor((index - 1) / perEpoch) };
}
