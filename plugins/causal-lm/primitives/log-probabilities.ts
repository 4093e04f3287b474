import * as tf from '@tensorflow/tfjs';
import type { OutputName } from 'mooring';
import { withGradient } from './gradient.ts';

/** What predicts: normalised hidden states `[tokens, hidden]`, the head's weight `[vocabulary, hidden]`, the targets `[tokens]`. */
export interface Prediction {
  readonly hidden: tf.Tensor;
  readonly weight: tf.Tensor;
  readonly label: tf.Tensor;
}

/** The largest `[chunk, vocabulary]` that is made, in elements: 32 MiB. */
const chunkElements = 2 ** 23;

/**
 * Log-probabilities of the targets, `[tokens]`. The gradient makes the logits of one chunk of tokens at a time once more.
 * `value` is what they are known to be: where only gradients are wanted, anything of that shape.
 */
export function logProbabilities(
  prediction: Prediction,
  value: tf.Tensor,
  options: { isWeightFrozen: boolean },
): tf.Tensor {
  const { hidden, weight, label } = prediction;
  const inputs = options.isWeightFrozen ? [hidden] : [hidden, weight];
  return withGradient(
    inputs,
    (save) => {
      save([hidden, weight, label]);
      return tf.clone(value);
    },
    (dy, saved) => {
      const [hidden, weight, label] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      return gradients({ hidden, weight, label }, dy, options.isWeightFrozen);
    },
  );
}

/** The figures that are asked for, in chunks of tokens, without gradients. */
export function tokenFigures(
  prediction: Prediction,
  names: readonly OutputName[],
): Partial<Record<OutputName, tf.Tensor>> {
  return tf.tidy(() => {
    const parts = chunksOf(prediction).map((chunk) => tf.tidy(() => figuresOf(chunk, names)));
    return Object.fromEntries(names.map((name) => [name, join(parts.map((part) => part[name] as tf.Tensor))]));
  });
}

function figuresOf(
  { hidden, weight, label }: Prediction,
  names: readonly OutputName[],
): Partial<Record<OutputName, tf.Tensor>> {
  const logits = logitsOf({ hidden, weight });
  if (names.length === 1 && names[0] === 'scores') return { scores: logits };
  const { exponentials, sum, max } = exponentialsOf(logits);
  const normalizer = tf.squeeze(tf.add(tf.log(sum), max), [-1]); // log of the partition sum, [chunk]
  const figures: Record<OutputName, () => tf.Tensor> = {
    logps: () => tf.sub(labelLogits({ hidden, weight, label }), normalizer),
    entropy: () => tf.sub(normalizer, tf.squeeze(tf.div(tf.sum(tf.mul(exponentials, logits), -1, true), sum), [-1])),
    logits: () => tf.mean(logits, -1),
    correct: () => tf.cast(tf.equal(tf.argMax(logits, -1), label), 'float32'),
    collision: () => tf.squeeze(tf.log(tf.div(tf.sum(tf.square(exponentials), -1, true), tf.square(sum))), [-1]),
    scores: () => tf.clone(logits),
  };
  return Object.fromEntries(names.map((name) => [name, figures[name]()]));
}

/** d log p = d logit of the label - sum over the vocabulary of p times d logit. */
function gradients(prediction: Prediction, dy: tf.Tensor, isWeightFrozen: boolean): tf.Tensor[] {
  const { hidden, weight, label } = prediction;
  const column = tf.expandDims(dy, 1); // [tokens, 1]
  const vocabulary = weight.shape[0] as number;
  let dWeight = isWeightFrozen
    ? undefined
    : tf.unsortedSegmentSum(tf.mul(hidden, column), label as tf.Tensor1D, vocabulary);
  const dHidden = chunksOf(prediction, column).map((chunk) => {
    const [dChunk, dPart] = tf.tidy(() => chunkGradients(chunk, isWeightFrozen));
    if (dWeight !== undefined && dPart !== undefined) {
      const sum = tf.add(dWeight, dPart);
      tf.dispose([dWeight, dPart]);
      dWeight = sum;
    }
    return dChunk;
  });
  return dWeight === undefined ? [join(dHidden)] : [join(dHidden), dWeight];
}

function chunkGradients(chunk: Chunk, isWeightFrozen: boolean): [dHidden: tf.Tensor, dWeight?: tf.Tensor] {
  const { hidden, weight, label, dy } = chunk;
  const { exponentials, sum } = tf.tidy(() => exponentialsOf(logitsOf(chunk)));
  // dividing rows of `hidden` by the sum instead of the exponentials keeps one pass over [chunk, vocabulary]
  const share = tf.neg(tf.div(dy, sum)); // [chunk, 1]
  const dExpected = tf.mul(tf.matMul(exponentials, weight as tf.Tensor2D), share);
  const dHidden = tf.add(dExpected, tf.mul(tf.gather(weight, label as tf.Tensor1D), dy));
  return isWeightFrozen ? [dHidden] : [dHidden, tf.matMul(exponentials, tf.mul(hidden, share), true, false)];
}

/** Three plain passes: TensorFlow's own softmax takes twice as long on rows of a vocabulary. */
function exponentialsOf(logits: tf.Tensor) {
  const max = tf.max(logits, -1, true);
  const exponentials = tf.tidy((): tf.Tensor2D => tf.exp(tf.sub(logits, max)));
  return { exponentials, max, sum: tf.sum(exponentials, -1, true) };
}

/** `[chunk, vocabulary]` */
function logitsOf({ hidden, weight }: Pick<Prediction, 'hidden' | 'weight'>): tf.Tensor {
  return tf.matMul(hidden as tf.Tensor2D, weight as tf.Tensor2D, false, true);
}

function labelLogits({ hidden, weight, label }: Prediction): tf.Tensor {
  return tf.sum(tf.mul(hidden, tf.gather(weight, label as tf.Tensor1D)), -1);
}

interface Chunk extends Prediction {
  /** `[chunk, 1]` */
  readonly dy: tf.Tensor;
}

/** Tokens in equal parts, none larger than `chunkElements` allow. */
function chunksOf(prediction: Prediction): Prediction[];
function chunksOf(prediction: Prediction, dy: tf.Tensor): Chunk[];
function chunksOf({ hidden, weight, label }: Prediction, dy?: tf.Tensor): (Prediction & { dy?: tf.Tensor })[] {
  const tokens = hidden.shape[0] as number;
  const most = Math.max(1, Math.floor(chunkElements / (weight.shape[0] as number)));
  const size = Math.ceil(tokens / Math.ceil(tokens / most));
  const part = (tensor: tf.Tensor, begin: number) => (size === tokens ? tensor : rowsFrom(tensor, begin, size));
  return Array.from({ length: Math.ceil(tokens / size) }, (_, index) => ({
    hidden: part(hidden, index * size),
    weight,
    label: part(label, index * size),
    ...(dy === undefined ? {} : { dy: part(dy, index * size) }),
  }));
}

function rowsFrom(tensor: tf.Tensor, begin: number, size: number): tf.Tensor {
  const count = Math.min(size, (tensor.shape[0] as number) - begin);
  return tf.slice(tensor, [begin, ...tensor.shape.slice(1).fill(0)], [count, ...tensor.shape.slice(1)]);
}

function join(parts: readonly tf.Tensor[]): tf.Tensor {
  return parts.length === 1 ? (parts[0] as tf.Tensor) : tf.concat([...parts], 0);
}
