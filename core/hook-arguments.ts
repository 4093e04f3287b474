import type { Tensor } from '@tensorflow/tfjs';
import type { RunConfig } from './config.ts';
import type { PassRequest } from './contracts.ts';
import type { Block, ModuleSpec, ParameterSpec, Pass, Tensors } from './model.ts';

/** A run as plugins see it. */
export interface Run {
  readonly config: RunConfig;
  /** Optimizer steps done. */
  readonly step: number;
  readonly steps: number;
  readonly rank: number;
  readonly ranks: number;
  /**
   * Aborts when the run is asked to stop, with several ranks not before they have agreed on it; its `reason` is then the
   * text that was given.
   */
  readonly signal: AbortSignal;
  /** Ends the run after the step in progress. */
  requestStop(reason: string): void;
  /**
   * Whether any rank was asked to stop, for what takes long within a step: every rank calls it, and gets the same answer.
   * Throws RANK_FAILED.
   */
  agreeOnStop(): Promise<boolean>;
  /** Evaluates on `evalData`; figures carry `eval_` before their names. Throws NO_EVALUATION_DATA. */
  evaluate(): Promise<StepRecord>;
  /** The passes that it will ask for. */
  passes(): ComingPasses;
  /** All that decides what it does, but for what is in files, each field as text: the ranks of one run have it in common. */
  fields(): Readonly<Record<string, string>>;
  /**
   * Saves all that going on needs into a new folder, which appears whole or not at all: in `betweenSteps` and `trainEnd`.
   * Throws CHECKPOINT_MID_STEP, DISK_FULL and WRITE_FAILED.
   */
  saveState(folder: string): Promise<void>;
  /** What the plugins have used so far: milliseconds, tensors and bytes. */
  ledger(): readonly LedgerEntry[];
  /** How long steps have waited for their batches so far: next to nothing where the data keeps ahead of the steps. */
  readonly millisecondsAwaitingData: number;
}

/**
 * The passes of the batches of an epoch, or of fewer where the run is shorter, after the `batch` taps, and then of the
 * evaluation data: those of one batch at a time.
 */
export interface ComingPasses extends AsyncIterable<readonly PassRequest[]> {
  readonly batches: number;
}

/** What one plugin keeps in a checkpoint. */
export interface CheckpointPart {
  /** Of the form of `json` and `tensors`: a plugin refuses the versions that it does not know. */
  readonly version: number;
  readonly json: unknown;
  /** float32 or int32. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
  /**
   * Which of them go with a parameter, by its name: what a rank has of one is shaped as what it holds of the parameter
   * (`readShard`), the checkpoint has it whole, and a rank that resumes gets its part. The others are whole, and the first
   * rank's are kept.
   */
  readonly layout?: Readonly<Record<string, string>>;
}

/** An optimizer step: `index` counts from 1. */
export interface Step {
  readonly index: number;
  readonly steps: number;
  readonly epoch: number;
}

/** Figures of a step, under the field's names. */
export type StepRecord = Readonly<Record<string, number>>;

/** A visit of a pass to a block; `next` is the block that comes after it, to prefetch. */
export interface BlockVisit {
  readonly block: Block;
  readonly pass: Pass;
  readonly next: Block | undefined;
}

/** A parameter being read inside a block. */
export interface ParameterRead {
  readonly block: Block;
  readonly parameter: ParameterSpec;
  readonly view: string;
  /** The pass's: what a tap is asked to do differently, if it knows the name. */
  readonly variant: string | undefined;
  /** A parameter that a plugin defined for this block, by the local name it chose. */
  readonly read: (local: string) => Tensor;
}

/** A linear or embedding inside a block, its output already computed. */
export interface Projection {
  readonly block: Block;
  readonly name: string;
  readonly module: ModuleSpec;
  /** `[tokens, in]`, or ids `[tokens]` for an embedding. */
  readonly input: Tensor;
  /** Which tokens of the batch the input's rows are, `[tokens]`; absent: all of them. */
  readonly source?: Tensor | undefined;
  /** The block's inputs by name: what a plugin adds to `Model.dropoutMasks` is among them. */
  readonly inputs: Tensors;
  readonly weight: () => Tensor;
  readonly view: string;
  readonly variant: string | undefined;
  readonly read: (local: string) => Tensor;
}

/** Adds a parameter to a block: it becomes an input of the block, so that tfjs differentiates taps that read it. */
export type DefineParameter = (block: string, local: string, spec: ParameterSpec, value: Tensor) => void;

/** What one plugin used: by hook, over the run. */
export interface LedgerEntry {
  readonly plugin: string;
  readonly hook: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** Tensors created less tensors freed. */
  readonly tensors: number;
  /** Bytes of unique buffers created less those freed. */
  readonly bytes: number;
}
