import { gatherTexts } from './collectives/gather-texts.ts';
import type { RunConfig } from './config.ts';
import { failure } from './failure.ts';
import type { Run, Step, StepRecord } from './hook-arguments.ts';
import type { CallFace, Hooks } from './hooks/registry.ts';
import type { Ledger } from './ledger.ts';
import { type ChosenPlugin, optional, type Services } from './plugin.ts';
import * as Tokens from './tokens.ts';

/** The services that the loop itself uses. */
export const coreUses = {
  config: Tokens.RunConfig,
  collectives: Tokens.Collectives,
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
  /** The plugins in their order, with their checked options. */
  readonly plugins: readonly ChosenPlugin[];
  /** The checkpoint to go on from. */
  readonly resumeFrom: string | undefined;
}

/** The run's progress, and what plugins may ask of it. */
export class RunState implements Run {
  readonly config: RunConfig;
  readonly steps: number;
  step = 0;
  record: StepRecord | undefined;
  evaluation: StepRecord | undefined;
  stopReason: string | undefined;
  /** Fingerprint of the reference as it was made of what the model's folder holds. */
  referenceAtStart: string | undefined;
  /** Whether a step has begun and not ended: nothing can go on from within it. */
  isMidStep = false;
  private readonly controller = new AbortController();
  private readonly accounts: Ledger;
  private readonly collectives: Tokens.Collectives;
  readonly evaluate: Run['evaluate'];
  readonly passes: Run['passes'];
  readonly fields: Run['fields'];
  readonly saveState: Run['saveState'];

  constructor(
    config: RunConfig,
    steps: number,
    accounts: Ledger,
    collectives: Tokens.Collectives,
    actions: Pick<Run, 'evaluate' | 'passes' | 'fields' | 'saveState'>,
  ) {
    this.config = config;
    this.collectives = collectives;
    this.steps = steps;
    this.accounts = accounts;
    this.evaluate = actions.evaluate;
    this.passes = actions.passes;
    this.fields = actions.fields;
    this.saveState = actions.saveState;
  }

  get rank(): number {
    return this.collectives.rank;
  }

  get ranks(): number {
    return this.collectives.ranks;
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  requestStop(reason: string): void {
    this.stopReason ??= reason;
    // of several ranks none may stop before all know of it: the others would wait for it
    if (this.ranks === 1) this.controller.abort(this.stopReason);
  }

  async agreeOnStop(): Promise<boolean> {
    if (this.ranks > 1 && !this.signal.aborted) {
      const reasons = await gatherTexts(this.collectives, this.stopReason ?? '', 'the reason to stop');
      const first = reasons.find((reason) => reason !== '');
      if (first !== undefined) {
        this.stopReason = first;
        this.controller.abort(first);
      }
    }
    return this.signal.aborted;
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

/** How many batches the steps up to this one have taken: no step spans epochs. */
export function batchesTaken({ config, data }: Pick<Session, 'config' | 'data'>, step: number): number {
  const { perEpoch } = countSteps(config, data.batchesPerEpoch);
  const epochs = Math.floor(step / perEpoch);
  return epochs * data.batchesPerEpoch + (step % perEpoch) * config.train.gradientAccumulationSteps;
}

/** The step of an index, counted from 1. */
export function stepAt({ config, data, run }: Pick<Session, 'config' | 'data' | 'run'>, index: number): Step {
  const { perEpoch } = countSteps(config, data.batchesPerEpoch);
  return { index, steps: run.steps, epoch: Math.floor((index - 1) / perEpoch) };
}
