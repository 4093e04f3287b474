import * as tf from '@tensorflow/tfjs';
import { type DifferentiableName, divergenceNames, divergenceOf, type OutputName, type Softened } from 'mooring';
import { chunksOf, gradientsInChunks, join, softened } from './chunks.ts';
import { differentiableDivergences } from './differentiable-divergences.ts';
import { withGradient } from './gradient.ts';

/** What predicts: normalised hidden states `[tokens, hidden]`, the head's weight `[vocabulary, hidden]`, the targets `[tokens]`. */
export interface Prediction {
  readonly hidden: tf.Tensor;
  readonly weight: tf.Tensor;
  readonly label: tf.Tensor;
  /** What divergences compare with: the same of the reference, whose hidden states may have another size. */
  readonly reference?: Pick<Prediction, 'hidden' | 'weight'> | undefined;
}

/** What is computed of the logits. */
export type FigureName = Exclude<OutputName, 'states' | 'headWeight'>;

/** What the figures are for. */
export interface FigurePurpose {
  /** Figures that are asked for. */
  readonly names: readonly FigureName[];
  /** False where only the gradients of those that are differentiated are wanted, which are then all zeros. */
  readonly needsValue: boolean;
  /** Figures that gradients flow into. */
  readonly differentiated: readonly DifferentiableName[];
  readonly isWeightFrozen: boolean;
}

/** Figures by name, each `[tokens]`. */
export type Figures = Partial<Record<FigureName, tf.Tensor>>;

/** The largest `[tokens, vocabulary]` that a forward pass may keep for its backward pass: 128 MiB. Above, it is made again. */
const keptElements = 2 ** 25;

/**
 * Figures of each target, `[tokens]`, in chunks of tokens: `[tokens, vocabulary]` is never held twice, and above 128 MiB
 * not at all. `logps` and divergences are differentiable: d log p = W[label] - sum over the vocabulary of p times W, by the
 * hidden state.
 */
export function tokenFigures(prediction: Prediction, purpose: FigurePurpose): Figures {
  if (purpose.names.length === 0) return {};
  const { names, differentiated } = purpose;
  if (differentiated.some((name) => name !== 'logps')) {
    return differentiableDivergences(prediction, purpose, () => plainFigures(prediction, names));
  }
  if (differentiated.includes('logps') && names.includes('logps')) return differentiableFigures(prediction, purpose);
  return plainFigures(prediction, names);
}

function plainFigures(prediction: Prediction, names: readonly FigureName[]): Figures {
  return tf.tidy(() => {
    const parts = chunksOf(prediction).map((chunk) => tf.tidy(() => figuresOf(chunk, softened(chunk), names)));
    return joined(parts, names);
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
function keptFigures(prediction: Prediction, { names: asked, isWeightFrozen }: FigurePurpose) {
  // what is kept may be whole; divergences, which take several times as much and keep nothing, are made in chunks
  const compared = asked.filter((name) => divergenceNames.some((divergence) => divergence === name));
  const names = asked.filter((name) => !compared.includes(name));
  const keepsExponentials = isKeptWhole(prediction, isWeightFrozen);
  const parts = chunksOf(prediction, keepsExponentials).map((chunk) => {
    const soft = softened(chunk);
    const expected = expectedRow(chunk, soft);
    const kept = [soft.max, soft.sum, expected, ...(keepsExponentials ? [soft.exponentials] : [])];
    return { figures: figuresOf(chunk, { ...soft, expected }, names), kept };
  });
  const figures = joined(
    parts.map((part) => part.figures),
    names,
  );
  if (compared.length > 0) Object.assign(figures, plainFigures(prediction, compared));
  return { figures, kept: parts.flatMap(({ kept }) => kept) };
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
  const other = () => softened(reference as Pick<Prediction, 'hidden' | 'weight'>);
  const figures: Record<FigureName, () => tf.Tensor> = {
    logps: () => tf.sub(ofLabel, normalizer),
    entropy: () => tf.sub(normalizer, expectedLogit()),
    // the mean logit is the product with the mean row
    logits: () => flat(tf.matMul(hidden as tf.Tensor2D, tf.expandDims(tf.mean(weight, 0), 1) as tf.Tensor2D)),
    correct: () => tf.cast(tf.greaterEqual(ofLabel, flat(max)), 'float32'),
    collision: () => flat(tf.log(tf.div(tf.sum(tf.square(exponentials), -1, true), tf.square(sum)))),
    kl: () => divergenceOf('kl', soft, other()),
    referenceKl: () => divergenceOf('referenceKl', soft, other()),
    jensenShannon: () => divergenceOf('jensenShannon', soft, other()),
    scores: () => tf.clone(logits),
  };
  return Object.fromEntries(names.map((name) => [name, figures[name]()]));
}

/** `kept` is what `keptFigures` keeps, chunk after chunk, or nothing at all. */
function gradients(prediction: Prediction, dy: tf.Tensor, kept: tf.Tensor[], isWeightFrozen: boolean): tf.Tensor[] {
  const column = tf.expandDims(dy, 1); // [tokens, 1]
  const chunks = chunksOf({ ...prediction, dy: column }, kept.length > 0 && isKeptWhole(prediction, isWeightFrozen));
  const each = kept.length / chunks.length;
  return gradientsInChunks(chunks, (chunk, at) => {
    return chunkGradients(chunk, kept.slice(at * each, (at + 1) * each), isWeightFrozen);
  });
}

function chunkGradients(
  chunk: Prediction & { readonly dy: tf.Tensor },
  [max, sum, expected, exponentials]: tf.Tensor[],
  isWeightFrozen: boolean,
): [dHidden: tf.Tensor, dWeight?: tf.Tensor] {
  const { hidden, weight, label, dy } = chunk;
  const isComplete = expected !== undefined && (isWeightFrozen || exponentials !== undefined);
  const made = isComplete ? { exponentials: exponentials as tf.Tensor, sum: sum as tf.Tensor } : softened(chunk, max);
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

/** Whether a forward pass keeps the exponentials of all tokens for its backward pass. */
function isKeptWhole({ weight, label }: Prediction, isWeightFrozen: boolean): boolean {
  return !isWeightFrozen && label.size * (weight.shape[0] as number) <= keptElements;
}

function joined(parts: readonly Figures[], names: readonly FigureName[]): Figures {
  return Object.fromEntries(names.map((name) => [name, join(parts.map((part) => part[name] as tf.Tensor))]));
}
