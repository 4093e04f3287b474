import * as tf from '@tensorflow/tfjs';
import type { OutputName } from 'mooring';
import { withGradient } from './gradient.ts';
import { klDivergence } from './kl-divergence.ts';

/** What predicts: normalised hidden states `[tokens, hidden]`, the head's weight `[vocabulary, hidden]`, the targets `[tokens]`. */
export interface Prediction {
  readonly hidden: tf.Tensor;
  readonly weight: tf.Tensor;
  readonly label: tf.Tensor;
  /** What `kl` compares with: the same of the reference, whose hidden states may have another size. */
  readonly reference?: Pick<Prediction, 'hidden' | 'weight'> | undefined;
}

/** What is computed of the logits. */
export type FigureName = Exclude<OutputName, 'states' | 'headWeight'>;

/** What the figures are for. */
export interface FigurePurpose {
  /** Figures that are asked for. */
  readonly names: readonly FigureName[];
  /** False where only the gradients of `logps` are wanted, which is then all zeros. */
  readonly needsValue: boolean;
  readonly isDifferentiated: boolean;
  readonly isWeightFrozen: boolean;
}

type Figures = Partial<Record<FigureName, tf.Tensor>>;

/** The largest `[chunk, vocabulary]` that is made, in elements: 32 MiB. */
const chunkElements = 2 ** 23;

/** The largest `[tokens, vocabulary]` that a forward pass may keep for its backward pass: 128 MiB. Above, it is made again. */
const keptElements = 2 ** 25;

/**
 * Figures of each target, `[tokens]`, in chunks of tokens: `[tokens, vocabulary]` is never held twice, and above 128 MiB
 * not at all. `logps` is differentiable: d log p = W[label] - sum over the vocabulary of p times W, by the hidden state.
 */
export function tokenFigures(prediction: Prediction, purpose: FigurePurpose): Figures {
  if (purpose.names.length === 0) return {};
  if (purpose.isDifferentiated && purpose.names.includes('logps')) return differentiableFigures(prediction, purpose);
  return tf.tidy(() => {
    const parts = chunksOf(prediction).map((chunk) => tf.tidy(() => figuresOf(chunk, soften(chunk), purpose.names)));
    return joined(parts, purpose.names);
  });
}

function differentiableFigures(prediction: Prediction, purpose: FigurePurpose): Figures {
  const { hidden, weight, label } = prediction;
  const { figures, kept } = purpose.needsValue ? keptFigures(prediction, purpose) : { figures: {}, kept: [] };
  const logps = withGradient(
    purpose.isWeightFrozen ? [hidden] : [hidden, weight],
    (save) => {
      save([hidden, weight, label, ...kept]);
      return figures.logps === undefined ? tf.zeros(label.shape) : tf.clone(figures.logps);
    },
    (dy, [hidden, weight, label, ...kept]) =>
      gradients({ hidden, weight, label } as Prediction, dy, kept, purpose.isWeightFrozen),
  );
  return { ...figures, logps };
}

/** Figures, and what their gradients need of each chunk: maxima, sums, expected rows and, where they fit, exponentials. */
function keptFigures(prediction: Prediction, { names, isWeightFrozen }: FigurePurpose) {
  const keepsExponentials = isKeptWhole(prediction, isWeightFrozen);
  const parts = chunksOf(prediction, keepsExponentials).map((chunk) => {
    const soft = soften(chunk);
    const expected = expectedRow(chunk, soft);
    const kept = [soft.max, soft.sum, expected, ...(keepsExponentials ? [soft.exponentials] : [])];
    return { figures: figuresOf(chunk, { ...soft, expected }, names), kept };
  });
  const figures = joined(
    parts.map((part) => part.figures),
    names,
  );
  return { figures, kept: parts.flatMap(({ kept }) => kept) };
}

/** Softmax before its division: exponentials of the logits less their row's maximum, and the sum of each row. */
export interface Softened {
  /** `[chunk, vocabulary]` */
  readonly logits: tf.Tensor;
  readonly exponentials: tf.Tensor;
  /** `[chunk, 1]` */
  readonly max: tf.Tensor;
  readonly sum: tf.Tensor;
}

/** Three plain passes: TensorFlow's own softmax takes twice as long on rows of a vocabulary. */
function soften(chunk: Pick<Prediction, 'hidden' | 'weight'>, known?: tf.Tensor): Softened {
  const logits = tf.matMul(chunk.hidden as tf.Tensor2D, chunk.weight as tf.Tensor2D, false, true);
  const max = known ?? tf.max(logits, -1, true);
  const exponentials = tf.exp(tf.sub(logits, max));
  return { logits, exponentials, max, sum: tf.sum(exponentials, -1, true) };
}

/** The row of the head's weight that the prediction expects, `[chunk, hidden]`. */
function expectedRow({ weight }: Prediction, { exponentials, sum }: Pick<Softened, 'exponentials' | 'sum'>): tf.Tensor {
  return tf.div(tf.matMul(exponentials as tf.Tensor2D, weight as tf.Tensor2D), sum);
}

function figuresOf(
  { hidden, weight, label, reference }: Prediction,
  { expected, ...soft }: Softened & { expected?: tf.Tensor },
  names: readonly FigureName[],
): Figures {
  const { logits, exponentials, max, sum } = soft;
  if (names.length === 1 && names[0] === 'scores') return { scores: logits };
  const flat = (column: tf.Tensor) => tf.squeeze(column, [-1]);
  const normalizer = flat(tf.add(tf.log(sum), max)); // log of the partition sum, [chunk]
  const ofLabel = labelLogits(logits, label);
  const expectedLogit = () =>
    expected === undefined
      ? flat(tf.div(tf.sum(tf.mul(exponentials, logits), -1, true), sum))
      : tf.sum(tf.mul(hidden, expected), -1);
  const figures: Record<FigureName, () => tf.Tensor> = {
    logps: () => tf.sub(ofLabel, normalizer),
    entropy: () => tf.sub(normalizer, expectedLogit()),
    // the mean logit is the product with the mean row
    logits: () => flat(tf.matMul(hidden as tf.Tensor2D, tf.expandDims(tf.mean(weight, 0), 1) as tf.Tensor2D)),
    correct: () => tf.cast(tf.greaterEqual(ofLabel, flat(max)), 'float32'),
    collision: () => flat(tf.log(tf.div(tf.sum(tf.square(exponentials), -1, true), tf.square(sum)))),
    kl: () => klDivergence(soft, soften(reference as Pick<Prediction, 'hidden' | 'weight'>)),
    scores: () => tf.clone(logits),
  };
  return Object.fromEntries(names.map((name) => [name, figures[name]()]));
}

/** `kept` is what `keptFigures` keeps, chunk after chunk, or nothing at all. */
function gradients(prediction: Prediction, dy: tf.Tensor, kept: tf.Tensor[], isWeightFrozen: boolean): tf.Tensor[] {
  const column = tf.expandDims(dy, 1); // [tokens, 1]
  const chunks = chunksOf({ ...prediction, dy: column }, kept.length > 0 && isKeptWhole(prediction, isWeightFrozen));
  const each = kept.length / chunks.length;
  let dWeight: tf.Tensor | undefined;
  const dHidden = chunks.map((chunk, at) => {
    const own = kept.slice(at * each, (at + 1) * each);
    const [dChunk, dPart] = tf.tidy(() => chunkGradients(chunk, own, isWeightFrozen));
    const sum = dWeight === undefined || dPart === undefined ? dPart : tf.add(dWeight, dPart);
    if (sum !== dPart) tf.dispose([dWeight as tf.Tensor, dPart as tf.Tensor]);
    dWeight = sum;
    return dChunk;
  });
  return dWeight === undefined ? [join(dHidden)] : [join(dHidden), dWeight];
}

function chunkGradients(
  chunk: Prediction & { readonly dy: tf.Tensor },
  [max, sum, expected, exponentials]: tf.Tensor[],
  isWeightFrozen: boolean,
): [dHidden: tf.Tensor, dWeight?: tf.Tensor] {
  const { hidden, weight, label, dy } = chunk;
  const isComplete = expected !== undefined && (isWeightFrozen || exponentials !== undefined);
  const made = isComplete ? { exponentials: exponentials as tf.Tensor, sum: sum as tf.Tensor } : soften(chunk, max);
  const row = expected ?? expectedRow(chunk, made);
  const dHidden = tf.mul(tf.sub(tf.gather(weight, label as tf.Tensor1D), row), dy);
  if (isWeightFrozen) return [dHidden];
  // wasm has integers in it whatever it is asked for
  const hit = tf.cast(tf.oneHot(label as tf.Tensor1D, weight.shape[0] as number), 'float32');
  const dLogits = tf.mul(tf.sub(hit, tf.div(made.exponentials, made.sum)), dy); // [chunk, vocabulary]
  return [dHidden, tf.matMul(dLogits as tf.Tensor2D, hidden as tf.Tensor2D, true, false)];
}

/** `[chunk]` from `[chunk, vocabulary]` */
function labelLogits(logits: tf.Tensor, label: tf.Tensor): tf.Tensor {
  const [chunk, vocabulary] = logits.shape as [number, number];
  const starts = tf.tensor1d(
    Int32Array.from({ length: chunk }, (_, row) => row * vocabulary),
    'int32',
  );
  return tf.gather(tf.reshape(logits, [-1]), tf.add(label, starts) as tf.Tensor1D);
}

/** Tokens in equal parts, none larger than `chunkElements` allow; or all in one, where it is kept anyway. */
function chunksOf<Parts extends Prediction>(given: Parts, isWhole = false): Parts[] {
  const { weight, reference, ...rowwise } = given;
  const tokens = given.label.size;
  const most = isWhole ? tokens : Math.max(1, Math.floor(chunkElements / (weight.shape[0] as number)));
  const size = Math.ceil(tokens / Math.ceil(tokens / most));
  return Array.from({ length: Math.ceil(tokens / size) }, (_, index) => {
    const part = (tensor: tf.Tensor) => (size === tokens ? tensor : rowsFrom(tensor, index * size, size));
    const other = reference && { ...reference, hidden: part(reference.hidden) };
    const own = Object.fromEntries(Object.entries(rowwise).map(([name, all]) => [name, part(all)]));
    return { ...given, ...own, reference: other };
  });
}

/** Whether a forward pass keeps the exponentials of all tokens for its backward pass. */
function isKeptWhole({ weight, label }: Prediction, isWeightFrozen: boolean): boolean {
  return !isWeightFrozen && label.size * (weight.shape[0] as number) <= keptElements;
}

function rowsFrom(tensor: tf.Tensor, begin: number, size: number): tf.Tensor {
  const count = Math.min(size, (tensor.shape[0] as number) - begin);
  return tf.slice(tensor, [begin, ...tensor.shape.slice(1).fill(0)], [count, ...tensor.shape.slice(1)]);
}

function joined(parts: readonly Figures[], names: readonly FigureName[]): Figures {
  return Object.fromEntries(names.map((name) => [name, join(parts.map((part) => part[name] as tf.Tensor))]));
}

function join(parts: readonly tf.Tensor[]): tf.Tensor {
  return parts.length === 1 ? (parts[0] as tf.Tensor) : tf.concat([...parts], 0);
}
