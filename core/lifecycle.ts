import type { Tensor } from '@tensorflow/tfjs';
import type { Batch } from './batch.ts';
import type { RunConfig, TrainSettings } from './config.ts';
import type {
  BlockVisit,
  CheckpointPart,
  DefineParameter,
  ParameterRead,
  Projection,
  Run,
  Step,
  StepRecord,
} from './hook-arguments.ts';
import type * as Kind from './hooks/kinds.ts';
import type { Model, Outputs, Pass } from './model.ts';
import type { Gradients, LossInputs, LossTerm, Metric, Random, Reference, Settings } from './tokens.ts';

/** What every hook is, in lifecycle order: its kind, its arguments, and what a returned value does. */
export interface Lifecycle {
  configure: Kind.SyncWaterfall<TrainSettings, { config: RunConfig }>;
  setup: Kind.Series<{ run: Run }>;
  modelDefined: Kind.Series<{ model: Model; define: DefineParameter }>;
  modelReady: Kind.Series<{ model: Model }>;
  refInit: Kind.Series<{ reference: Reference | undefined }>;
  checkpointLoad: Kind.Series<{ parts: Readonly<Record<string, CheckpointPart>> }>;
  trainBegin: Kind.Series<{ run: Run }>;
  epochBegin: Kind.Series<{ run: Run; epoch: number }>;
  batch: Kind.Waterfall<Batch, { position: number; random: Random }>;
  stepBegin: Kind.Series<{ step: Step; microBatches: readonly Batch[] }>;
  settings: Kind.SyncWaterfall<Settings, { step: Step; last: StepRecord | undefined }>;
  pass: Kind.Bail<Outputs, { pass: Pass }>;
  beforeForward: Kind.PairedBefore<BlockVisit>;
  readParameter: Kind.SyncWaterfall<Tensor, ParameterRead>;
  projection: Kind.SyncWaterfall<Tensor, Projection>;
  afterForward: Kind.PairedAfter<BlockVisit>;
  lossTerms: Kind.SyncCollect<Omit<LossTerm, 'name'>, LossInputs & { step: Step | undefined }>;
  beforeBackward: Kind.PairedBefore<BlockVisit>;
  gradient: Kind.SyncWaterfall<Tensor, { name: string; microStep: number }>;
  afterBackward: Kind.PairedAfter<BlockVisit>;
  metrics: Kind.SyncCollect<Metric, LossInputs & { step: Step | undefined }>;
  gradientsReady: Kind.Series<{ gradients: Gradients; step: Step }>;
  stepEnd: Kind.Series<{ step: Step; record: StepRecord }>;
  evaluate: Kind.Collect<number, { run: Run }>;
  evaluated: Kind.Series<{ figures: StepRecord; step: number }>;
  epochEnd: Kind.Series<{ run: Run; epoch: number }>;
  betweenSteps: Kind.Series<{ run: Run }>;
  checkpointSave: Kind.Collect<CheckpointPart, { run: Run }>;
  trainEnd: Kind.Series<{ run: Run }>;
  export: Kind.Series<{ directory: string; run: Run }>;
  failure: Kind.Settled<{ error: unknown; run: Run }>;
  teardown: Kind.Settled<{ run: Run }>;
}

/** A hook's name. */
export type HookName = keyof Lifecycle;

/** A row of the hook table, as the documentation and `explain` show it. */
export interface HookRow<Name extends HookName> {
  readonly kind: Lifecycle[Name]['kind'];
  readonly when: string;
  readonly args: readonly (keyof Lifecycle[Name]['args'] & string)[];
  /** What a returned value does; absent where it is ignored. */
  readonly returns?: string;
}

/** The hooks in lifecycle order. A hook without kind, arguments or documentation does not compile. */
export const hookTable: { readonly [Name in HookName]: HookRow<Name> } = {
  configure: {
    kind: 'sync waterfall',
    when: 'once, before any service exists; plugin options are already final',
    args: ['config'],
    returns: 'replaces the train settings',
  },
  setup: { kind: 'series', when: 'services exist', args: ['run'] },
  modelDefined: {
    kind: 'series',
    when: 'the blocks and shapes are known, no weights yet: define adapters, freeze parameters',
    args: ['model', 'define'],
  },
  modelReady: { kind: 'series', when: 'the weights are loaded', args: ['model'] },
  refInit: { kind: 'series', when: 'the reference is made, of the weights just loaded', args: ['reference'] },
  checkpointLoad: {
    kind: 'series',
    when: 'in a run that resumes, after the reference is made: take back what `checkpointSave` gave; tensors are freed after it',
    args: ['parts'],
  },
  trainBegin: { kind: 'series', when: 'before the first step', args: ['run'] },
  epochBegin: { kind: 'series', when: 'before the first step of an epoch', args: ['run', 'epoch'] },
  batch: {
    kind: 'waterfall',
    when: 'each micro-batch, ahead of its step: depends only on its arguments',
    args: ['position', 'random'],
    returns: 'replaces the batch',
  },
  stepBegin: { kind: 'series', when: 'all micro-batches of the step are fetched', args: ['step', 'microBatches'] },
  settings: {
    kind: 'sync waterfall',
    when: 'before the first forward of a step, and of an evaluation: live values such as learningRate and beta',
    args: ['step', 'last'],
    returns: 'replaces the settings',
  },
  pass: {
    kind: 'bail',
    when: 'before a pass is computed',
    args: ['pass'],
    returns: 'the outputs, instead of computing them; only where `pass.gradient` is false',
  },
  beforeForward: {
    kind: 'paired before',
    when: 'before each block of a forward pass',
    args: ['block', 'pass', 'next'],
  },
  readParameter: {
    kind: 'sync waterfall',
    when: 'inside a block, as it reads a parameter; pure, differentiated',
    args: ['block', 'parameter', 'view', 'variant', 'read'],
    returns: 'replaces the tensor that the store supplied',
  },
  projection: {
    kind: 'sync waterfall',
    when: 'inside a block, after a linear or an embedding; pure, differentiated',
    args: ['block', 'name', 'module', 'input', 'source', 'inputs', 'weight', 'view', 'variant', 'read'],
    returns: 'replaces the output',
  },
  afterForward: {
    kind: 'paired after',
    when: 'after each block of a forward pass, in reverse order, whatever failed',
    args: ['block', 'pass', 'next'],
  },
  lossTerms: {
    kind: 'sync collect',
    when: 'after the passes of a micro-batch; pure, differentiated',
    args: ['outputs', 'batch', 'settings', 'step'],
    returns: 'terms by name: { sum, per }, added to the loss after division by the exact count',
  },
  beforeBackward: {
    kind: 'paired before',
    when: 'before each block of a backward pass',
    args: ['block', 'pass', 'next'],
  },
  gradient: {
    kind: 'sync waterfall',
    when: 'once for each parameter in a micro-batch, tied uses summed; linear operations only',
    args: ['name', 'microStep'],
    returns: 'replaces the gradient',
  },
  afterBackward: {
    kind: 'paired after',
    when: 'after each block of a backward pass, in reverse order, whatever failed',
    args: ['block', 'pass', 'next'],
  },
  metrics: {
    kind: 'sync collect',
    when: 'after the passes of a micro-batch',
    args: ['outputs', 'batch', 'settings', 'step'],
    returns: 'figures by name: { value, reduce, weight }, reduced over the step',
  },
  gradientsReady: { kind: 'series', when: 'they are accumulated, not yet clipped', args: ['gradients', 'step'] },
  stepEnd: { kind: 'series', when: 'after the optimizer step, never after a micro-step', args: ['step', 'record'] },
  evaluate: {
    kind: 'collect',
    when: 'at an evaluation, beside the figures on evalData',
    args: ['run'],
    returns: 'figures by name',
  },
  evaluated: { kind: 'series', when: 'after an evaluation', args: ['figures', 'step'] },
  epochEnd: { kind: 'series', when: 'after the last step of an epoch', args: ['run', 'epoch'] },
  betweenSteps: { kind: 'series', when: 'nothing of a step is under way: the moment for run.saveState', args: ['run'] },
  checkpointSave: {
    kind: 'collect',
    when: 'the state of the run is being saved: give your own, under your name, or a resumed run will not have it',
    args: ['run'],
    returns: 'parts by plugin: { version, json, tensors }; the core frees the tensors',
  },
  trainEnd: { kind: 'series', when: 'after the last step', args: ['run'] },
  export: {
    kind: 'series',
    when: 'at the end: write folders into the staging directory, which then takes its place in the output',
    args: ['directory', 'run'],
  },
  failure: { kind: 'settled', when: 'the run failed: taps see the error and swallow nothing', args: ['error', 'run'] },
  teardown: { kind: 'settled', when: 'always, last', args: ['run'] },
};

/** The hooks' names in lifecycle order. */
export const hookNames = Object.keys(hookTable) as HookName[];
