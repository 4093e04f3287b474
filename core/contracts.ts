import type { Tensor } from '@tensorflow/tfjs';
import type { Batch } from './batch.ts';
import type { Range } from './collectives/collectives.ts';
import type { DefineParameter } from './hook-arguments.ts';
import type { TapFace } from './hooks/registry.ts';
import type {
  Block,
  DifferentiableName,
  Model,
  OutputGradients,
  OutputName,
  Outputs,
  ParameterSpec,
  Pass,
  Tensors,
} from './model.ts';
import type { ParameterStorage } from './parameters/bfloat16.ts';
import type { Cell } from './parameters/cell.ts';
import type { Rows } from './rows.ts';

export type { Collectives } from './collectives/collectives.ts';
export type { RunConfig } from './config.ts';
export type { Engine } from './engine/engine.ts';
export type { Model } from './model.ts';
export type { ParameterStorage } from './parameters/bfloat16.ts';
export type * from './text-contracts.ts';

/** A pass as an objective asks for it: `of` says whose figures, the core adds view, mode and dropout. */
export interface PassRequest {
  readonly key: string;
  readonly of: 'policy' | 'reference';
  readonly rows: Rows;
  readonly outputs: readonly OutputName[];
  /** Outputs of a policy's pass that the loss depends on; absent: `logps`. The others are figures. */
  readonly differentiated?: readonly DifferentiableName[] | undefined;
  /** Which of the batch's counts is that of its targets; absent: `token`. */
  readonly counted?: string | undefined;
}

/** Live values of a step, after the `settings` taps: `learningRate`, `beta`, ... */
export type Settings = Readonly<Record<string, number>> & {
  readonly learningRate: number;
};

/** One addend of the loss: a scalar sum, and which of the batch's counts it is divided by, over the whole step. */
export interface LossTerm {
  readonly name: string;
  /** Scalar. */
  readonly sum: Tensor;
  /** A name in the batch's `counts`: `row`, `token`, ... */
  readonly per: string;
  /** Whether the addend of a row depends on which rows share its batch, as where they are sorted. */
  readonly couplesRows?: boolean;
}

/** What an objective and the `lossTerms` and `metrics` taps see of a micro-batch. */
export interface LossInputs {
  readonly batch: Batch;
  /** Outputs by pass key. */
  readonly outputs: Readonly<Record<string, Outputs>>;
  readonly settings: Settings;
}

/** A logged figure: how those of a step's micro-batches become one. A mean is weighted by `weight` (default 1). */
export interface Metric {
  readonly value: Tensor | number;
  readonly reduce: 'mean' | 'sum' | 'max';
  readonly weight?: number;
}

/** What is trained: which passes a batch needs, and the loss over their outputs. */
export interface Objective {
  /** The kind of batch that it reads. */
  readonly accepts: string;
  passes(batch: Batch): readonly PassRequest[];
  /** Pure: differentiated by the core with respect to the outputs of the policy's passes. */
  terms(inputs: LossInputs): readonly LossTerm[];
  /** Figures for the record, under the field's names. */
  metrics?(inputs: LossInputs): Readonly<Record<string, Metric>>;
}

/** Parameters that a reference can be moved by, shard-local: nothing is gathered. */
export interface MovableParameters {
  readonly names: readonly string[];
  /** The caller disposes it. */
  read(name: string): Tensor;
  /** Takes ownership of `value`. */
  write(name: string, value: Tensor): void;
}

/** The frozen model that the policy is compared with. */
export interface Reference {
  /** `clone`, `adapters-off`, `adapter-snapshot`, `reload` or `cached`. */
  readonly kind: string;
  /** Identity of its weights. */
  fingerprint(): Promise<string>;
  /** The same by what it is made of, where that is more than weights: of an adapter the base, its tensors, what scales them. */
  fingerprints?(): Promise<Readonly<Record<string, string>>>;
  /** Why it is not the policy that training starts from, as a clause, where its kind says it is: then the KL at step 0 need not be 0. */
  readonly differsBy?: string | undefined;
  /** Bytes that exist only for it, by unique buffer. */
  bytesResident(): number;
  /** Of one that answers for another: the kind of that. */
  readonly over?: string;
  /** Frees what only it holds: it is not asked again. */
  readonly release?: (() => void) | undefined;
  /** `bfloat16` where its weights are the policy's rounded to it, so that the KL at step 0 is small instead of 0. */
  readonly storage?: ParameterStorage | undefined;
  /** Asked for `states` and `headWeight` too where the policy asks for a divergence; one that does not run a model gives neither. */
  score(pass: Pass): Promise<Outputs>;
  readonly parameters?: MovableParameters | undefined;
}

/** The accumulated gradients of a step. */
export interface Gradients {
  /** Awaited when the last was accumulated, before anything reads them: for stores that add them over ranks. Throws RANK_FAILED. */
  complete?(): Promise<void>;
  readonly names: readonly string[];
  /** The caller disposes it. */
  read(name: string): Tensor;
  /** Takes ownership of `value`. */
  write(name: string, value: Tensor): void;
  /** The 2-norm over all of them, or over these, of all ranks. */
  globalNorm(names?: readonly string[]): Promise<number>;
  /** Frees them all. */
  clear(): void;
}

/** Holds every parameter by name and view. The view `policy` is the one that trains. */
export interface ParameterStore {
  define(spec: ParameterSpec): void;
  readonly names: readonly string[];
  spec(name: string): ParameterSpec;
  /** Sets a parameter's value for the first time; takes ownership. */
  load(name: string, value: Tensor): void;
  /** Lets go of what the policy has of a parameter, until it is loaded again: for one that is on disk. */
  unload(name: string): void;
  /** A parameter's value in a view, float32 however it is stored; the caller disposes it. Throws PARAMETER_NOT_GATHERED. */
  read(name: string, view: string): Tensor;
  /** What is stored: the value, or bfloat16 pairs of it as int32, for `widen` to read. The caller disposes it. */
  readStored(name: string, view: string): Tensor;
  /** Replaces a parameter's value in a view; takes ownership. */
  write(name: string, view: string, value: Tensor): void;
  /** The elements of a parameter, laid flat, that this rank holds: all of them where it is not sharded. */
  range(name: string): Range;
  /** What this rank holds of a parameter, of its shape where that is all of it, else flat: `[elements]`. The caller disposes it. */
  readShard(name: string, view: string): Tensor;
  /** Sets what this rank holds for the first time, of the shape that `readShard` gives; takes ownership. */
  loadShard(name: string, value: Tensor): void;
  /** Replaces what this rank holds, of the shape that `readShard` gives; takes ownership. */
  writeShard(name: string, view: string, value: Tensor): void;
  /**
   * Runs `body` while these parameters of a view are whole on every rank, so that `read` gives them. Every rank calls it,
   * with the same names. Throws RANK_FAILED.
   */
  withGathered<Result>(names: readonly string[], view: string, body: () => Promise<Result>): Promise<Result>;
  /** Changes a parameter of the policy in place, as optimizers do: `change` gets its cell, which stays the store's. */
  update(name: string, change: (cell: Cell) => void): void;
  /** Numbers what a view has of a parameter: equal ones of a parameter are the same buffer, in whatever views. */
  version(name: string, view: string): number;
  /** How a parameter's value in a view is stored. */
  storage(name: string, view: string): ParameterStorage;
  /**
   * Stores a frozen parameter of the policy so, now or when it is loaded; views that are added later share it. Values
   * written to it are rounded to nearest, ties to even.
   */
  setStorage(name: string, storage: ParameterStorage): void;
  isTrainable(name: string): boolean;
  setTrainable(name: string, isTrainable: boolean): void;
  /** Adds to a parameter's gradient; takes ownership. */
  accumulate(name: string, gradient: Tensor): void;
  readonly gradients: Gradients;
  /**
   * A snapshot of the policy under a new name: it costs nothing until a parameter is trained, then that parameter's bytes.
   * With `names`, of these parameters only: the others stay the policy's, also where they change.
   * With `storage: 'bfloat16'` it costs half the bytes of what is trainable now, at once, and never more.
   */
  addView(
    view: string,
    options?: { readonly names?: readonly string[] | undefined; readonly storage?: ParameterStorage },
  ): void;
  removeView(view: string): void;
  /** Bytes of buffers that only this view holds. */
  bytesResident(view: string): number;
  /** A hash of a view's names, or of these, with shapes and values: the same on every engine and for any number of ranks. */
  fingerprint(view: string, names?: readonly string[]): Promise<string>;
  dispose(): void;
}

/** Moves the policy along the accumulated gradients. */
export interface Optimizer {
  step(gradients: Gradients, options: { learningRate: number; scale: number }): void;
  /**
   * The state by name: `<parameter>/<moment>`, shaped as what the store holds of the parameter, or whole on every rank; the
   * caller disposes the tensors.
   */
  save(): {
    json: unknown;
    tensors: Iterable<readonly [name: string, value: Tensor]>;
  };
  load(state: { json: unknown; tensors: Iterable<readonly [name: string, value: Tensor]> }): void;
  dispose(): void;
}

/** Batches in their order, from any position on, epoch after epoch. */
export interface DataSource {
  /** Identity of data, tokenizer and options. */
  readonly fingerprint: string;
  /** What decides which sequences there are, by field (`data`, `tokenizer`, ...), not their order nor how they are batched. */
  readonly identity?: Readonly<Record<string, string>>;
  readonly batchesPerEpoch: number;
  /** Endless for training: the consumer decides when to stop. `position` counts batches already consumed. */
  open(position: number): AsyncIterableIterator<Batch>;
}

/** Runs passes over the model's blocks, forward and backward. */
export interface Driver {
  /** With `pass.gradient`, keeps each block's input until `backward` or `release`. The caller disposes the outputs. */
  forward(pass: Pass): Promise<Outputs>;
  /** The loss and the gradients of it by the outputs of policy passes that it depends on: pure arithmetic on outputs. */
  differentiate(
    outputs: Readonly<Record<string, Outputs>>,
    keys: readonly string[],
    loss: () => Tensor,
  ): { value: Tensor; gradients: Readonly<Record<string, OutputGradients>> };
  /** Reads figures that are pure arithmetic on outputs, and frees what they needed. */
  measure(
    figures: () => Readonly<Record<string, Metric>>,
  ): Readonly<Record<string, Metric & { readonly value: number }>>;
  /**
   * Hands the gradients of the parameters to the store. `gradients`: of the loss by outputs of the pass; disposed here.
   * Throws LOSS_UNDIFFERENTIATED for one of an output that the pass does not name in `differentiated`.
   */
  backward(pass: Pass, gradients: OutputGradients): Promise<void>;
  /** Adds a plugin's parameter to a block, under the local name by which its taps read it. */
  readonly define: DefineParameter;
  /** Runs one block of a pass with the given inputs, with its hooks and taps: what `forward` does for each. The caller disposes. */
  runBlock(block: Block, pass: Pass, inputs: Tensors): Promise<Tensors>;
  /** Frees what forward passes kept for a backward pass that will not come. */
  release(): void;
  /** Told once, before the first step, how many will come; `sample` gives the rows of some batches, one array for each. */
  prepare?(coming: {
    readonly steps: number;
    readonly sample: () => Promise<readonly (readonly Rows[])[]>;
  }): Promise<void>;
}

/** Makes drivers of other models than the one that is trained. */
export interface Drivers {
  /**
   * A driver of a model, and the store that it reads, where every parameter is defined, frozen, and without a value yet; their
   * only view is `policy`. They run on the run's engine, and compile what it compiles, for rows of the same shapes. The taps of
   * the run's plugins do not see them: `tap` declares those of `owner`. The caller disposes the store.
   */
  create(
    model: Model,
    options: {
      readonly owner: string;
      readonly tap?: (hooks: TapFace) => void;
      /** Puts another store in place of the one that keeps parameters whole. */
      readonly wrapStore?: (store: ParameterStore) => ParameterStore;
    },
  ): { readonly driver: Driver; readonly store: ParameterStore };
}

/** Opens models beside the one that is trained. */
export interface Models {
  /** The model of a folder, with no weights read yet. */
  open(folder: string): Model;
}

/** Learning rate of a step, counted from 1, out of `steps`. */
export interface Schedule {
  learningRate(step: number, steps: number): number;
}

/** Reproducible random numbers: a stream for each key, the same on every machine. */
export interface Random {
  stream(...key: readonly (string | number)[]): {
    /** In [0, 1). */ next(): number /** In [0, below). */;
    integer(below: number): number;
  };
}

/** Milliseconds, from any fixed point. */
export interface Clock {
  now(): number;
}

/** Structured messages for people: details first, as in `log.warn({ step }, 'loss above the limit')`. */
export interface Log {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}
