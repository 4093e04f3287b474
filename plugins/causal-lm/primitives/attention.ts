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
  /** Tables of rotary positions, `[1 or batch, 1, time, headSize]`; absent where positions are learned. */
  readonly rotary?: Rotary | undefined;
  /** Multiplies the attention weights, `[batch, heads, time, keys]`; not where rows fork. */
  readonly dropout?: tf.Tensor | undefined;
  /** Where rows fork: the same for any of the branches, whose keys are those of the trunk and then its own. */
  readonly branch?: Pick<AttentionSetting, 'mask' | 'rotary'> | undefined;
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
  const { branch } = setting;
  if (branch !== undefined) return forkedAttention(query, key, value, { ...setting, branch });
  return mergeHeads(attend(splitAll(query, key, value, setting), setting), setting);
}

/**
 * Attention of rows that fork: the trunk attends to itself, and each branch, as a row of its own, to the trunk and to
 * itself. Nothing is computed between two branches.
 */
function forkedAttention(
  query: tf.Tensor,
  key: tf.Tensor,
  value: tf.Tensor,
  setting: AttentionSetting & { readonly branch: Pick<AttentionSetting, 'mask' | 'rotary'> },
): tf.Tensor {
  const { batch, time } = setting;
  const trunkTime = setting.mask.shape[2] as number;
  const branchTime = setting.branch.mask.shape[2] as number;
  const branches = (time - trunkTime) / branchTime;
  const trunkSetting = { ...setting, time: trunkTime };
  const branchSetting = { ...setting, ...setting.branch, batch: batch * branches, time: branchTime };

  const parts = [query, key, value].map((x) => {
    const byRow = tf.reshape(x, [batch, time, x.shape[1] as number]);
    return tf.split(byRow, [trunkTime, time - trunkTime], 1) as [tf.Tensor, tf.Tensor];
  });
  const [trunkParts, branchParts] = [0, 1].map((side) => parts.map((part) => part[side])) as [Flat, Flat];
  const trunk = splitAll(...trunkParts, trunkSetting);
  const own = splitAll(...branchParts, branchSetting);
  const joined = (past: tf.Tensor, more: tf.Tensor) => tf.concat([forEach(branches, past), more], 2);
  const branch = { q: own.q, k: joined(trunk.k, own.k), v: joined(trunk.v, own.v) };

  const ofTrunk = mergeHeads(attend(trunk, trunkSetting), trunkSetting);
  const ofBranches = mergeHeads(attend(branch, branchSetting), branchSetting);
  const byRow = (x: tf.Tensor) => tf.reshape(x, [batch, -1, x.shape[1] as number]);
  return tf.reshape(tf.concat([byRow(ofTrunk), byRow(ofBranches)], 1), [batch * time, -1]);
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
  const context = mergeHeads(attend({ q, k: keys, v: values }, setting), setting);
  return { context, key: keys, value: values };
}

type Flat = [query: tf.Tensor, key: tf.Tensor, value: tf.Tensor];

/** Queries `[batch, keyValueHeads, groups * time, headSize]`, keys and values `[batch, keyValueHeads, keys, headSize]`. */
interface Heads {
  readonly q: tf.Tensor;
  readonly k: tf.Tensor;
  readonly v: tf.Tensor;
}

function splitAll(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, setting: AttentionSetting): Heads {
  const { batch, heads, keyValueHeads, headSize, rotary, scale } = setting;
  const rotated = rotate(splitHeads(query, heads, setting), rotary);
  const q = tf.reshape(scale === 1 ? rotated : tf.mul(rotated, scale), [batch, keyValueHeads, -1, headSize]);
  const k = rotate(splitHeads(key, keyValueHeads, setting), rotary);
  return { q, k, v: splitHeads(value, keyValueHeads, setting) };
}

/**
 * softmax(q k' + mask) v, `[batch, keyValueHeads, groups * time, headSize]`. The sum of the exponentials divides what comes
 * after the product with the values, and the softmax's own correction is taken there too: both are narrower than the scores.
 */
function attend({ q, k, v }: Heads, { mask, dropout }: AttentionSetting): tf.Tensor {
  return withGradient(
    [q, k, v],
    (save) => {
      const exponentials = tf.tidy(() => {
        const scores = maskedScores(q, k, mask);
        return tf.exp(tf.sub(scores, tf.max(scores, -1, true)));
      }); // [batch, keyValueHeads, groups * time, keys]
      const sum = tf.sum(exponentials, -1, true);
      const context = tf.div(tf.matMul(drop(exponentials, dropout), v), sum);
      save([q, k, v, exponentials, sum, context]);
      return context;
    },
    (dy, saved) => {
      const [q, k, v, exponentials, sum, context] = saved as [
        Flat[0],
        Flat[1],
        Flat[2],
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

/** `x` is `[batch, count, time, headSize]`; one table serves all heads, and the branches of a row. */
function rotate(x: tf.Tensor, rotary: Rotary | undefined): tf.Tensor {
  if (rotary === undefined) return x;
  const { cos, sin } = rotary;
  const [rows, , time, headSize] = cos.shape as [number, number, number, number];
  const byTable = tf.reshape(x, [rows, -1, time, headSize]);
  const rotated = withGradient(
    [byTable],
    () => tf.add(tf.mul(byTable, cos), tf.mul(swapHalves(byTable), sin)),
    (dy) => [tf.add(tf.mul(dy, cos), swapHalves(tf.mul(dy, sin)))],
  );
  return tf.reshape(rotated, x.shape);
}

function swapHalves(x: tf.Tensor): tf.Tensor {
  const [first, second] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.concat([second, first], -1);
}

/** Keys or values of a trunk once for each of its branches: `[batch * branches, keyValueHeads, trunk, headSize]`. */
function forEach(branches: number, x: tf.Tensor): tf.Tensor {
  const [batch, ...rest] = x.shape as [number, number, number, number];
  const flat = tf.reshape(x, [batch, 1, -1]);
  return tf.reshape(tf.concat(new Array<tf.Tensor>(branches).fill(flat), 1), [batch * branches, ...rest]);
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
