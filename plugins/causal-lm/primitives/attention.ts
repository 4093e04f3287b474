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
  /** Added to the scores, `[1 or batch, 1, time, keys]`. */
  readonly mask: tf.Tensor;
  /** Tables of rotary positions, `[1 or batch, 1, time, headSize]`; absent where positions are learned. */
  readonly rotary?: Rotary | undefined;
  /** Multiplies the attention weights, `[batch, heads, time, keys]`. */
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
  const { heads, keyValueHeads, scale, rotary, dropout } = setting;
  return withGradient(
    [query, key, value],
    (save) => {
      const q = groupedQueries(query, setting);
      const k = rotate(splitHeads(key, keyValueHeads, setting), rotary);
      const v = splitHeads(value, keyValueHeads, setting);
      const weights = attentionWeights(q, k, setting);
      const context = tf.matMul(drop(weights, dropout), v); // [batch, keyValueHeads, groups * time, headSize]
      save([q, k, v, weights, context]);
      return mergeHeads(context, heads, setting);
    },
    (dy, saved) => {
      const [q, k, v, weights, context] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const dContext = tf.reshape(splitHeads(dy, heads, setting), context.shape);
      const dValue = tf.matMul(drop(weights, dropout), dContext, true, false);
      const dWeights = drop(tf.matMul(dContext, v, false, true), dropout);
      // the softmax's own correction, sum(weights * dWeights), taken over the narrower headSize
      const correction = tf.sum(tf.mul(dContext, context), -1, true);
      const dScores = tf.mul(weights, tf.sub(dWeights, correction));
      const dQuery = tf.reshape(scaled(tf.matMul(dScores, k), scale), headShape(heads, setting));
      const dKey = tf.matMul(dScores, q, true, false);
      return [
        mergeHeads(rotateBack(dQuery, rotary), heads, setting),
        mergeHeads(rotateBack(dKey, rotary), keyValueHeads, setting),
        mergeHeads(dValue, keyValueHeads, setting),
      ];
    },
  );
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
  past?: Past,
): { context: tf.Tensor } & Past {
  const { heads, keyValueHeads, rotary } = setting;
  const newKey = rotate(splitHeads(key, keyValueHeads, setting), rotary);
  const newValue = splitHeads(value, keyValueHeads, setting);
  const keys = past === undefined ? newKey : tf.concat([past.key, newKey], 2);
  const values = past === undefined ? newValue : tf.concat([past.value, newValue], 2);
  const context = tf.matMul(attentionWeights(groupedQueries(query, setting), keys, setting), values);
  return { context: mergeHeads(context, heads, setting), key: keys, value: values };
}

function groupedQueries(query: tf.Tensor, setting: AttentionSetting): tf.Tensor {
  const { batch, time, heads, keyValueHeads, headSize, rotary, scale } = setting;
  const rotated = scaled(rotate(splitHeads(query, heads, setting), rotary), scale);
  return tf.reshape(rotated, [batch, keyValueHeads, (heads / keyValueHeads) * time, headSize]);
}

function attentionWeights(q: tf.Tensor, k: tf.Tensor, { batch, time, heads, mask }: AttentionSetting): tf.Tensor {
  const scores = tf.matMul(q, k, false, true); // [batch, keyValueHeads, groups * time, keys]
  const byHead = tf.reshape(scores, [batch, heads, time, -1]);
  return tf.reshape(tf.softmax(tf.add(byHead, mask)), scores.shape);
}

function rotate(x: tf.Tensor, rotary: Rotary | undefined): tf.Tensor {
  return rotary === undefined ? x : tf.add(tf.mul(x, rotary.cos), tf.mul(swapHalves(x), rotary.sin));
}

function rotateBack(dy: tf.Tensor, rotary: Rotary | undefined): tf.Tensor {
  return rotary === undefined ? dy : tf.add(tf.mul(dy, rotary.cos), swapHalves(tf.mul(dy, rotary.sin)));
}

function swapHalves(x: tf.Tensor): tf.Tensor {
  const [first, second] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.concat([second, first], -1);
}

function headShape(count: number, { batch, time, headSize }: AttentionSetting): [number, number, number, number] {
  return [batch, count, time, headSize];
}

function splitHeads(x: tf.Tensor, count: number, { batch, time, headSize }: AttentionSetting): tf.Tensor {
  return tf.transpose(tf.reshape(x, [batch, time, count, headSize]), [0, 2, 1, 3]); // [batch, count, time, headSize]
}

function mergeHeads(x: tf.Tensor, count: number, setting: AttentionSetting): tf.Tensor {
  const { batch, time, headSize } = setting;
  return tf.reshape(tf.transpose(tf.reshape(x, headShape(count, setting)), [0, 2, 1, 3]), [
    batch * time,
    count * headSize,
  ]);
}

function scaled(x: tf.Tensor, scale: number): tf.Tensor {
  return scale === 1 ? x : tf.mul(x, scale);
}

function drop(weights: tf.Tensor, dropout: tf.Tensor | undefined): tf.Tensor {
  return dropout === undefined ? weights : tf.mul(weights, tf.reshape(dropout, weights.shape));
}
