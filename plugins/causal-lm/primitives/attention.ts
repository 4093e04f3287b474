import * as tf from '@tensorflow/tfjs';
import { withGradient } from './gradient.ts';

/** What an attention does with its queries, keys and values. */
export interface AttentionSetting {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** What queries are multiplied by; 1 where the rotary tables hold it. */
  readonly scale: number;
  /** Added to the scores, `[1 or batch, 1, time, keys]`; of the trunk alone where rows fork. */
  readonly mask: tf.Tensor;
  /** Where rows fork: the same for any of the branches, `[1 or batch, 1, branch, trunk + branch]`. */
  readonly branchMask?: tf.Tensor | undefined;
  /** Tables of rotary positions, `[1 or batch, 1, time, headSize]`; absent where positions are learned. */
  readonly rotary?: Rotary | undefined;
  /** Multiplies the attention weights, `[batch, heads, time, keys]`; not where rows fork. */
  readonly dropout?: tf.Tensor | undefined;
}

/** `sin` has its first half negated, so that a rotation is `x * cos + swapped x * sin`. */
export interface Rotary {
  readonly cos: tf.Tensor;
  readonly sin: tf.Tensor;
}

/**
 * Scaled dot-product attention (Vaswani et al. 2017) with rotary positions: `[batch * time, heads * headSize]`, from queries
 * of that shape and keys and values `[batch * time, keyValueHeads * headSize]`.
 * The queries that share a key head (Ainslie et al. 2023) lie along the time axis: `[batch, keyValueHeads, groups * time, headSize]`.
 */
export function attention(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, setting: AttentionSetting): tf.Tensor {
  const { mask, branchMask, dropout } = setting;
  const { q, k, v } = splitAll(query, key, value, setting);
  const context =
    branchMask === undefined
      ? attend(grouped(q, k), k, v, mask, dropout)
      : forkedContext({ q, k, v }, { ...setting, branchMask });
  return mergeHeads(context, setting);
}

/** Keys and values of tokens already seen, `[batch, keyValueHeads, keys, headSize]`, keys rotated. */
export interface Past {
  readonly key: tf.Tensor;
  readonly value: tf.Tensor;
}

/** Attention of new tokens to themselves and the past, with what the next ones need; no gradient. */
export function attentionWithPast(
  query: tf.Tensor,
  key: tf.Tensor,
  value: tf.Tensor,
  setting: AttentionSetting,
  past: Past,
): { context: tf.Tensor } & Past {
  const { q, k, v } = splitAll(query, key, value, setting);
  const keys = tf.concat([past.key, k], 2);
  const values = tf.concat([past.value, v], 2);
  const context = mergeHeads(attend(grouped(q, k), keys, values, setting.mask), setting);
  return { context, key: keys, value: values };
}

/** Queries `[batch, heads, time, headSize]`, keys and values `[batch, keyValueHeads, time, headSize]`. */
interface Heads {
  readonly q: tf.Tensor;
  readonly k: tf.Tensor;
  readonly v: tf.Tensor;
}

/**
 * The trunk of each row attends to itself, and each branch to the trunk and to itself: its keys and values are those of the
 * trunk, followed by its own. Nothing is computed between two branches. `[batch, heads, time, headSize]`
 */
function forkedContext(
  { q, k, v }: Heads,
  { batch, time, heads, keyValueHeads, headSize, mask, branchMask }: AttentionSetting & { branchMask: tf.Tensor },
): tf.Tensor {
  const trunkTime = mask.shape[2] as number;
  const branchTime = branchMask.shape[2] as number;
  const branches = (time - trunkTime) / branchTime;
  const [queries, keys, values] = [q, k, v].map((x) => tf.split(x, [trunkTime, time - trunkTime], 2)) as [
    Halves,
    Halves,
    Halves,
  ];

  const ofTrunk = attend(grouped(queries[0], keys[0]), keys[0], values[0], mask);

  // of branches, the first two axes are batch * keyValueHeads and branches
  const rows = batch * keyValueHeads;
  const joined = ([past, own]: Halves) => {
    const copies = new Array<tf.Tensor>(branches).fill(tf.reshape(past, [rows, 1, trunkTime, headSize]));
    return tf.concat([tf.concat(copies, 1), tf.reshape(own, [rows, branches, branchTime, headSize])], 2);
  };
  // heads that share a key head come before branches in rows, and after them here
  const groups = heads / keyValueHeads;
  const swapped = (x: tf.Tensor, before: number, after: number) =>
    tf.transpose(tf.reshape(x, [rows, before, after, branchTime * headSize]), [0, 2, 1, 3]);
  const ofBranch = tf.reshape(swapped(queries[1], groups, branches), [rows, branches, groups * branchTime, headSize]);
  const ofBranches = attend(ofBranch, joined(keys), joined(values), branchMask);

  const parts = [ofTrunk, swapped(ofBranches, branches, groups)];
  return tf.concat(
    parts.map((part) => tf.reshape(part, [batch, heads, -1, headSize])),
    2,
  );
}

/** What belongs to the trunk, and what to all branches. */
type Halves = [trunk: tf.Tensor, own: tf.Tensor];

function splitAll(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, setting: AttentionSetting): Heads {
  const { heads, keyValueHeads, rotary, scale } = setting;
  const q = rotate(splitHeads(query, heads, setting), rotary);
  const k = rotate(splitHeads(key, keyValueHeads, setting), rotary);
  return { q: scale === 1 ? q : tf.mul(q, scale), k, v: splitHeads(value, keyValueHeads, setting) };
}

/** Queries beside the others that share their key head: `[batch, keyValueHeads, groups * time, headSize]`. */
function grouped(q: tf.Tensor, k: tf.Tensor): tf.Tensor {
  return tf.reshape(q, [k.shape[0] as number, k.shape[1] as number, -1, k.shape[3] as number]);
}

/**
 * softmax(q k' + mask) v, in the shape of `q`: `[.., .., groups * time, headSize]`, `k` and `v` `[.., .., keys, headSize]`.
 * The sum of the exponentials divides what comes after the product with the values, and the softmax's own correction is
 * taken there too: both are narrower than the scores.
 */
function attend(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor, dropout?: tf.Tensor): tf.Tensor {
  return withGradient(
    [q, k, v],
    (save) => {
      const exponentials = tf.tidy(() => {
        const scores = maskedScores(q, k, mask);
        return tf.exp(tf.sub(scores, tf.max(scores, -1, true)));
      }); // [.., .., groups * time, keys]
      const sum = tf.sum(exponentials, -1, true);
      const context = tf.div(tf.matMul(drop(exponentials, dropout), v), sum);
      save([q, k, v, exponentials, sum, context]);
      return context;
    },
    (dy, saved) => {
      const [q, k, v, exponentials, sum, context] = saved as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      const dContext = tf.div(dy, sum);
      const correction = tf.sum(tf.mul(dContext, context), -1, true);
      const dWeights = drop(tf.matMul(dContext, v, false, true), dropout);
      const dScores = tf.mul(exponentials, tf.sub(dWeights, correction));
      const dValue = tf.matMul(drop(exponentials, dropout), dContext, true, false);
      return [tf.matMul(dScores, k), tf.matMul(dScores, q, true, false), dValue];
    },
  );
}

/** One mask serves all heads, and the branches of a row. */
function maskedScores(q: tf.Tensor, k: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const scores = tf.matMul(q, k, false, true);
  const [rows, , time, keys] = mask.shape as [number, number, number, number];
  return tf.reshape(tf.add(tf.reshape(scores, [rows, -1, time, keys]), mask), scores.shape);
}

/** `x` is `[batch, count, time, headSize]`. */
function rotate(x: tf.Tensor, rotary: Rotary | undefined): tf.Tensor {
  if (rotary === undefined) return x;
  const { cos, sin } = rotary;
  return withGradient(
    [x],
    () => tf.add(tf.mul(x, cos), tf.mul(swapHalves(x), sin)),
    (dy) => [tf.add(tf.mul(dy, cos), swapHalves(tf.mul(dy, sin)))],
  );
}

function swapHalves(x: tf.Tensor): tf.Tensor {
  const [first, second] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.concat([second, first], -1);
}

/** `[batch, count, time, headSize]` */
function splitHeads(x: tf.Tensor, count: number, { batch, time, headSize }: AttentionSetting): tf.Tensor {
  return tf.transpose(tf.reshape(x, [batch, time, count, headSize]), [0, 2, 1, 3]);
}

/** `[batch * time, heads * headSize]` */
function mergeHeads(x: tf.Tensor, { batch, time, heads, headSize }: AttentionSetting): tf.Tensor {
  const byHead = tf.reshape(x, [batch, heads, time, headSize]);
  return tf.reshape(tf.transpose(byHead, [0, 2, 1, 3]), [batch * time, heads * headSize]);
}

function drop(weights: tf.Tensor, dropout: tf.Tensor | undefined): tf.Tensor {
  return dropout === undefined ? weights : tf.mul(weights, tf.reshape(dropout, weights.shape));
}
