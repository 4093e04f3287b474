import type { Tensor } from '@tensorflow/tfjs';
import type { Collectives, Ranges } from './collectives/collectives.ts';
import type { Rows } from './rows.ts';

/** A parameter: its name in the checkpoint, its shape, and how it is trained. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Whether weight decay applies: the matrices, not biases and norms. */
  readonly isDecayed: boolean;
}

/** A linear or embedding inside a block, as adapters see it. */
export interface ModuleSpec {
  readonly kind: 'linear' | 'embedding';
  /** How the weight lies in memory: `out,in` as torch's Linear, `in,out` as gpt2's Conv1D and as an embedding `[vocabulary, hidden]`. */
  readonly layout: 'out,in' | 'in,out';
  /** Local names of the weight and, where there is one, the bias. */
  readonly weight: string;
  readonly bias?: string | undefined;
}

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** What a block may use while it runs: its parameters and modules, each through the taps of plugins. */
export interface BlockScope {
  readonly view: string;
  readonly rows: { readonly batch: number; readonly time: number };
  /** Outputs that the pass asks of the head. */
  readonly outputs: readonly OutputName[];
  /** False while only gradients are wanted: a block may then skip work that none of them needs. */
  readonly needsValue: boolean;
  /** Whether gradients of the block follow this run, or come with it. */
  readonly hasGradient: boolean;
  /** Outputs of the head that gradients flow into. */
  readonly differentiated: readonly DifferentiableName[];
  /** A parameter by its local name, after the `readParameter` taps. */
  parameter(local: string): Tensor;
  /** Whether the backward pass that follows wants this parameter's gradient: a primitive may skip it otherwise. */
  isDifferentiated(local: string): boolean;
  /**
   * A linear's output, `[tokens, out]` from `[tokens, in]`, after the `projection` taps. With `isGradientOnly` its value may
   * be anything: only its gradients are right, and the product is left out where it can be. `source`, `[tokens]`, says
   * which tokens of the batch the input's rows are, where they are not all of them.
   */
  linear(
    module: string,
    input: Tensor,
    options?: { readonly isGradientOnly?: boolean; readonly source?: Tensor | undefined },
  ): Tensor;
  /** An embedding's rows, `[tokens, hidden]` from ids `[tokens]`, after the `projection` taps. */
  embedding(module: string, ids: Tensor): Tensor;
}

/**
 * A part of a model that runs as a whole: the embedding, one layer, or the head.
 * `run` is a pure tfjs function: it reads no value back, keeps nothing, and names all that it reads.
 * Embedding and layers return `{ hidden }`: `[batch * time, hidden]`, or of the last layer `[targets, hidden]`, as the head
 * takes it. The head returns the outputs that the pass asks for; for divergences it gets `referenceStates` and
 * `referenceHeadWeight`, the reference's `states` and `headWeight`.
 */
export interface Block {
  readonly name: string;
  readonly kind: 'embedding' | 'layer' | 'head';
  /** Local name to parameter name: a tied parameter has the same name in two blocks. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly modules: Readonly<Record<string, ModuleSpec>>;
  run(scope: BlockScope, inputs: Tensors): Tensors;
}

/**
 * Per-token figures that the head computes in chunks, each `[tokens]`, in the order of the pass's targets.
 * `logps`: log-probability of the target, differentiable. `entropy` of the prediction, in nats. `logits`: mean over the
 * vocabulary. `correct`: 1 where the target is the likeliest token. `collision`: log of the sum of squared probabilities.
 * `kl` is the exact KL(policy || reference) of the prediction over the vocabulary, in nats, `referenceKl` is
 * KL(reference || policy), and `jensenShannon` the mean of the KL of both to their mean: for a pass of the policy; the core
 * runs the reference's pass before it. `scores` are the logits themselves,
 * `[tokens, vocabulary]`: for scoring and generating, never for training. `states`, `[tokens, hidden]`, times the
 * transposed `headWeight`, `[vocabulary, hidden]`, are those logits: what the three need of the reference.
 */
export type OutputName =
  | 'logps'
  | 'entropy'
  | 'logits'
  | 'correct'
  | 'collision'
  | 'kl'
  | 'referenceKl'
  | 'jensenShannon'
  | 'scores'
  | 'states'
  | 'headWeight';

/** Outputs that a loss can depend on. */
export type DifferentiableName = Extract<OutputName, 'logps' | 'kl' | 'referenceKl' | 'jensenShannon'>;

/** Gradients of a loss by the outputs of a pass, each `[tokens]`. */
export type OutputGradients = Readonly<Partial<Record<OutputName, Tensor>>>;

/** What a pass yields. */
export type Outputs = Readonly<Partial<Record<OutputName, Tensor>>>;

/** What the logits of a pass are made of. */
export type Prediction = Required<Pick<Outputs, 'states' | 'headWeight'>>;

/** The key of the counter-based dropout generator: the same masks whatever the engine, batch size and number of ranks. */
export interface DropoutKey {
  readonly seed: number;
  readonly step: number;
}

/** One run over a model's blocks, asked for by an objective. */
export interface Pass {
  /** Its name among the passes of a batch: `policy`, `reference`. */
  readonly key: string;
  readonly rows: Rows;
  /** Which values the parameters have: `policy`, or a view that a reference added. */
  readonly view: string;
  /** What taps make of them, where it is not the usual: a name that a plugin chose, such as `adapters-off`. */
  readonly variant?: string | undefined;
  /** Whether a backward pass follows. */
  readonly gradient: boolean;
  readonly outputs: readonly OutputName[];
  /** Outputs that the loss depends on, among `outputs`; absent: `logps`. Without `gradient` nothing. */
  readonly differentiated?: readonly DifferentiableName[] | undefined;
  /** Absent in evaluation mode. */
  readonly dropout?: DropoutKey | undefined;
  /** What `kl`, `referenceKl` and `jensenShannon` compare with: the reference's prediction of the same targets. Stays the caller's. */
  readonly reference?: Prediction | undefined;
}

/** Sizes of a decoder from which what its passes keep can be predicted. */
export interface DecoderSizes {
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly feedForward: number;
  /** Whether the feed-forward part multiplies by a gate: then two results are `feedForward` wide. */
  readonly isGated: boolean;
  /** Whether queries and keys are normalised head by head. */
  readonly hasHeadNorms: boolean;
}

/** A model: parameters without values, and the blocks that read them. */
export interface Model {
  /** For people and logs: family and size. */
  readonly description: string;
  /** Digest of all but its weights that its figures depend on: two of equal weights and another one differ. Absent: the description says it. */
  readonly computation?: string;
  readonly vocabularySize: number;
  readonly parameters: readonly ParameterSpec[];
  readonly blocks: readonly Block[];
  /** Absent where it is no decoder: its memory is then not predicted. */
  readonly sizes?: DecoderSizes;
  /** Whether it computes rows that fork: `true`, or why not, as a clause ("its state runs through the row"). Absent: it does not. */
  readonly sharesPrompts?: true | string;
  /** The tensors that all blocks of a pass share beside `hidden` (ids, rotary tables, masks, targets); the driver disposes them. */
  prepare(rows: Rows): Tensors;
  /** What one block reads in this pass beside them: dropout masks. Nothing in evaluation mode. */
  dropoutMasks(block: Block, pass: Pass): Tensors;
  /**
   * Yields every parameter's value, one at a time; the receiver owns the tensor. Where `ranges` names a part of one, that part
   * is enough, flat: `[elements]`. A model that computes its values may give the whole all the same.
   */
  load(ranges?: Ranges): AsyncIterable<readonly [name: string, value: Tensor]>;
  /** Opens the files that the values are in, to read some of them when they are wanted. Absent: they are in none. */
  openWeights?(): Promise<StoredWeights>;
}

/** The values of a model's parameters, in open files. */
export interface StoredWeights {
  /**
   * Yields the values of these parameters, one at a time; the receiver owns the tensor. Of one that `ranges` names a part of,
   * only that is read, and is flat: `[elements]`. Throws where a file was changed or taken away since it was opened.
   */
  read(names: readonly string[], ranges?: Ranges): AsyncIterable<readonly [name: string, value: Tensor]>;
  /** Of all values as they are in the files, whatever becomes of them here. Each rank reads its share of them. */
  fingerprint(collectives?: Collectives): Promise<string>;
  /** Has the system bring the bytes of these parameters, or parts, into its own cache while this thread computes. */
  prefetch(names: readonly string[], ranges?: Ranges): Promise<void>;
  close(): Promise<void>;
}
