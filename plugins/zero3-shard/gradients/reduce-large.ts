import * as tf from '@tensorflow/tfjs';
import { type Collectives, copyInto, directOf, type Range } from 'mooring';
import { added } from '../gather/lent-values.ts';
import { lengthOf } from '../partition.ts';
import { cut } from './cut.ts';

/**
 * This rank's part, `[elements]`, of the sum over all ranks of a gradient, `ranges` by rank, written and added where it is
 * carried, at most `limit` elements in one collective. All of them are begun before anything is waited for. Takes ownership
 * of the gradient. Throws RANK_FAILED.
 */
export async function reduceLarge(
  gradient: tf.Tensor,
  ranges: readonly Range[],
  options: { readonly collectives: Collectives; readonly limit: number; readonly of: string },
): Promise<tf.Tensor> {
  const { collectives, limit, of } = options;
  const flat = tf.reshape(gradient, [-1]);
  gradient.dispose();
  const pieces = cut(ranges, limit);
  let unwritten = pieces.length * ranges.length;
  const sums = pieces.map((piece) => {
    const write = (part: Float32Array, to: number) => {
      const { begin } = piece[to] as Range;
      tf.tidy(() => copyInto(tf.slice(flat, begin, part.length), part));
      if (--unwritten === 0) flat.dispose();
    };
    return directOf(collectives).reduceScatter(piece.map(lengthOf), of, write, added);
  });
  const parts = await Promise.all(sums);
  if (parts.length === 1) return parts[0] as tf.Tensor;
  const joined = tf.concat(parts);
  tf.dispose(parts);
  return joined;
}
