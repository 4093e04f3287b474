import * as tf from '@tensorflow/tfjs';
import { type Softened, soften } from 'mooring';
import type { Prediction } from './log-probabilities.ts';

/** The largest `[chunk, vocabulary]` that is made, in elements: 32 MiB. */
const chunkElements = 2 ** 23;

/** Tokens in equal parts, none larger than `chunkElements` allow; or all in one, where it is kept anyway. */
export function chunksOf<Parts extends Prediction>(given: Parts, isWhole = false): Parts[] {
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

/** The softened logits of a chunk. */
export function softened({ hidden, weight }: Pick<Prediction, 'hidden' | 'weight'>, knownMax?: tf.Tensor): Softened {
  return soften(tf.matMul(hidden as tf.Tensor2D, weight as tf.Tensor2D, false, true), knownMax);
}

/** Gradients by hidden states, chunk after chunk, and by the head's weight, summed, where chunks have them. */
export function gradientsInChunks<Chunk>(
  chunks: readonly Chunk[],
  gradientsOf: (chunk: Chunk, at: number) => [dHidden: tf.Tensor, dWeight?: tf.Tensor],
): tf.Tensor[] {
  let dWeight: tf.Tensor | undefined;
  const dHidden = chunks.map((chunk, at) => {
    const [dChunk, dPart] = tf.tidy(() => gradientsOf(chunk, at));
    const sum = dWeight === undefined || dPart === undefined ? dPart : tf.add(dWeight, dPart);
    if (sum !== dPart) tf.dispose([dWeight as tf.Tensor, dPart as tf.Tensor]);
    dWeight = sum;
    return dChunk;
  });
  return dWeight === undefined ? [join(dHidden)] : [join(dHidden), dWeight];
}

/** What chunks yield, one after the other. */
export function join(parts: readonly tf.Tensor[]): tf.Tensor {
  return parts.length === 1 ? (parts[0] as tf.Tensor) : tf.concat([...parts], 0);
}

function rowsFrom(tensor: tf.Tensor, begin: number, size: number): tf.Tensor {
  const count = Math.min(size, (tensor.shape[0] as number) - begin);
  return tf.slice(tensor, [begin, ...tensor.shape.slice(1).fill(0)], [count, ...tensor.shape.slice(1)]);
}
