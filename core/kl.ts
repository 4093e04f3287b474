import * as tf from '@tensorflow/tfjs';
import { failure } from './failure.ts';
import type { Prediction } from './model.ts';

/**
 * Exact divergences of each token's prediction over the vocabulary, p of the policy and q of the reference, in nats:
 * `kl` is KL(policy || reference) = sum p log(p / q), `referenceKl` is KL(reference || policy) = sum q log(q / p), and
 * `jensenShannon`, with m = weight q + (1 - weight) p, is weight KL(q || m) + (1 - weight) KL(p || m): the generalised
 * divergence of GKD (Agarwal et al. 2023, arXiv 2306.13649) with TRL's `beta` as `weight`, which at 0 is `referenceKl` and
 * at 1 `kl`. None is called forward or reverse: the literature uses both words for both.
 */
export const divergenceNames = ['kl', 'referenceKl', 'jensenShannon'] as const;
export type DivergenceName = (typeof divergenceNames)[number];

/** What predicts: logits `[..., vocabulary]`, or hidden states `[tokens, hidden]` and the head's weight that make them. */
export type Predicted = tf.Tensor | Prediction;

/** The largest `[chunk, vocabulary]` that is made, in elements: 32 MiB. */
const chunkElements = 2 ** 23;

/**
 * A divergence of each token, `[...]` of logits `[..., vocabulary]`, or `[tokens]`. In chunks of tokens: nothing of the size
 * of all logits is made. Differentiable by what the policy is given as; the reference counts as constant.
 * Throws KL_VOCABULARIES.
 */
export function exactDivergence(
  policy: Predicted,
  reference: Predicted,
  { of = 'kl', weight = 0.5 }: { readonly of?: DivergenceName; readonly weight?: number } = {},
): tf.Tensor {
  const [ours, theirs] = [partsOf(policy), partsOf(reference)];
  refuseVocabularies(vocabularyOf(policy), vocabularyOf(reference));
  const forward = (...given: (tf.Tensor | tf.GradSaveFunc)[]) => {
    (given.at(-1) as tf.GradSaveFunc)([...ours, ...theirs]);
    const parts = chunksOf(ours, theirs).map(([p, q]) =>
      tf.tidy(() => divergenceOf(of, soften(logitsOf(p)), soften(logitsOf(q)), weight)),
    );
    const value = tf.reshape(tf.concat(parts), policy instanceof tf.Tensor ? policy.shape.slice(0, -1) : [-1]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [kept, others] = [saved.slice(0, ours.length), saved.slice(ours.length)];
      return gradientsOf(of, weight, kept, others, tf.reshape(dy, [-1, 1]));
    };
    return { value, gradFunc };
  };
  return tf.customGrad(forward)(...ours);
}

/** Softmax before its division: exponentials of the logits less their row's maximum, and the sum of each row. */
export interface Softened {
  /** `[tokens, vocabulary]` */
  readonly logits: tf.Tensor;
  readonly exponentials: tf.Tensor;
  /** `[tokens, 1]` */
  readonly max: tf.Tensor;
  readonly sum: tf.Tensor;
}

/** Three plain passes over `[tokens, vocabulary]`: TensorFlow's own softmax takes twice as long on rows of a vocabulary. */
export function soften(logits: tf.Tensor, knownMax?: tf.Tensor): Softened {
  const max = knownMax ?? tf.max(logits, -1, true);
  const exponentials = tf.exp(tf.sub(logits, max));
  return { logits, exponentials, max, sum: tf.sum(exponentials, -1, true) };
}

/**
 * A divergence of each row, `[tokens]`. With p of the policy and q of the reference KL(p || q) is summed as
 * p log(p / q) - p + q: no addend is negative, and the last two, whose sums cancel, make an error of the normalisers count
 * by its square only: summed over a vocabulary they are off by more than small divergences. Equal logits give exactly 0.
 */
export function divergenceOf(name: DivergenceName, policy: Softened, reference: Softened, weight = 0.5): tf.Tensor {
  return tf.tidy(() => {
    const [p, q, logRatio] = ratio(policy, reference);
    const named = limitOf(name, weight);
    if (named === 'kl') return tf.sum(tf.add(tf.sub(tf.mul(p, logRatio), p), q), -1);
    if (named === 'referenceKl') return tf.sum(tf.sub(tf.sub(p, q), tf.mul(q, logRatio)), -1);
    const ofPolicy = tf.mul(tf.mul(p, toMixture(logRatio, weight)), 1 - weight);
    const ofReference = tf.mul(tf.mul(q, toMixture(tf.neg(logRatio), 1 - weight)), weight);
    return tf.sum(tf.add(ofPolicy, ofReference), -1);
  });
}

/**
 * The gradient of each row's divergence by the policy's logits, `[tokens, vocabulary]`. By a logit of which the
 * divergence's derivative by p is f, a softmax gives p (f - sum p f); f is log(p / q) for KL(p || q), -q / p for KL(q || p),
 * where that is p - q, and (1 - weight) log(p / m) for Jensen-Shannon.
 */
export function divergenceGradient(
  name: DivergenceName,
  policy: Softened,
  reference: Softened,
  weight = 0.5,
): tf.Tensor {
  return tf.tidy(() => {
    const [p, q, logRatio] = ratio(policy, reference);
    const named = limitOf(name, weight);
    if (named === 'referenceKl') return tf.sub(p, q);
    const slope = named === 'kl' ? logRatio : tf.mul(toMixture(logRatio, weight), 1 - weight);
    return tf.mul(p, tf.sub(slope, tf.sum(tf.mul(p, slope), -1, true)));
  });
}

/** Throws KL_VOCABULARIES where two predictions are not over the same words. */
export function refuseVocabularies(policy: number, reference: number): void {
  if (policy !== reference) throw failure('KL_VOCABULARIES', { policy, reference });
}

/** p, q and log(p / q), each `[tokens, vocabulary]`. */
function ratio(policy: Softened, reference: Softened): [p: tf.Tensor, q: tf.Tensor, logRatio: tf.Tensor] {
  const [p, q] = [policy, reference].map(({ exponentials, sum }) => tf.div(exponentials, sum)) as [
    tf.Tensor,
    tf.Tensor,
  ];
  return [p, q, tf.sub(tf.sub(policy.logits, reference.logits), normalizerRatio(policy, reference))];
}

/** Log of the ratio of the two partition sums, `[tokens, 1]`; of two logs, each much larger, their rounding would be left. */
function normalizerRatio(policy: Softened, reference: Softened): tf.Tensor {
  return tf.add(tf.sub(policy.max, reference.max), tf.log(tf.div(policy.sum, reference.sum)));
}

/** log(p / m) from log(p / q), m having `weight` of q. Where q / p would overflow, p is nothing: e^-80. */
function toMixture(logRatio: tf.Tensor, weight: number): tf.Tensor {
  const inverse = tf.exp(tf.minimum(tf.neg(logRatio), 80));
  return tf.neg(tf.log(tf.add(tf.mul(inverse, weight), 1 - weight)));
}

function limitOf(name: DivergenceName, weight: number): DivergenceName {
  if (name !== 'jensenShannon' || (weight > 0 && weight < 1)) return name;
  return weight <= 0 ? 'referenceKl' : 'kl';
}

/** Gradients by the parts of the policy: by its logits, or by its states and head. */
function gradientsOf(
  of: DivergenceName,
  weight: number,
  ours: tf.Tensor[],
  theirs: tf.Tensor[],
  dy: tf.Tensor,
): tf.Tensor[] {
  let dHead: tf.Tensor | undefined;
  const firsts = chunksOf(ours, theirs, dy).map(([p, q, dy]) => {
    const [first, head] = tf.tidy((): tf.Tensor[] => {
      const slope = divergenceGradient(of, soften(logitsOf(p)), soften(logitsOf(q)), weight);
      const dLogits = tf.mul(slope, dy as tf.Tensor) as tf.Tensor2D;
      const [states, headWeight] = p as tf.Tensor2D[];
      if (headWeight === undefined) return [dLogits];
      const part = tf.matMul(dLogits, states as tf.Tensor2D, true, false);
      return [tf.matMul(dLogits, headWeight), dHead === undefined ? part : tf.add(dHead, part)];
    });
    if (head !== dHead) dHead?.dispose();
    dHead = head;
    return first as tf.Tensor;
  });
  const first = tf.reshape(tf.concat(firsts), (ours[0] as tf.Tensor).shape);
  return dHead === undefined ? [first] : [first, dHead];
}

function partsOf(predicted: Predicted): tf.Tensor[] {
  return predicted instanceof tf.Tensor ? [predicted] : [predicted.states, predicted.headWeight];
}

function vocabularyOf(predicted: Predicted): number {
  return predicted instanceof tf.Tensor
    ? (predicted.shape.at(-1) as number)
    : (predicted.headWeight.shape[0] as number);
}

/** `[chunk, vocabulary]` */
function logitsOf([rows, headWeight]: readonly tf.Tensor[]): tf.Tensor {
  return headWeight === undefined
    ? (rows as tf.Tensor)
    : tf.matMul(rows as tf.Tensor2D, headWeight as tf.Tensor2D, false, true);
}

type Chunk = [policy: tf.Tensor[], reference: tf.Tensor[], dy?: tf.Tensor];

function chunksOf(ours: readonly tf.Tensor[], theirs: readonly tf.Tensor[], dy?: tf.Tensor): Chunk[] {
  const flat = ([rows, ...head]: readonly tf.Tensor[]) => {
    const { shape } = rows as tf.Tensor;
    return [tf.reshape(rows as tf.Tensor, [-1, shape.at(-1) as number]), ...head];
  };
  const [p, q] = [flat(ours), flat(theirs)] as [tf.Tensor[], tf.Tensor[]];
  const tokens = p[0]?.shape[0] as number;
  const vocabulary = (p[1]?.shape[0] ?? p[0]?.shape[1]) as number;
  const size = Math.max(1, Math.floor(chunkElements / vocabulary));
  return Array.from({ length: Math.max(1, Math.ceil(tokens / size)) }, (_, index): Chunk => {
    const part = (rows: tf.Tensor) => {
      const begin = index * size;
      return tf.slice(rows, [begin, 0], [Math.min(size, tokens - begin), -1]);
    };
    const cut = ([rows, ...head]: tf.Tensor[]) => [part(rows as tf.Tensor), ...head];
    return dy === undefined ? [cut(p), cut(q)] : [cut(p), cut(q), part(dy)];
  });
}
