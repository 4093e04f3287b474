import * as tf from '@tensorflow/tfjs';
import { type DifferentiableName, divergenceGradient } from 'mooring';
import { chunksOf, gradientsInChunks, softened } from './chunks.ts';
import { withGradient } from './gradient.ts';
import type { FigurePurpose, Figures, Prediction } from './log-probabilities.ts';

/**
 * Figures among which divergences are trained on, with one gradient for all that are: by the logits, the sum of those of
 * `logps` and divergences, so that of `[chunk, vocabulary]` there is one however many there are. Forward keeps nothing of
 * that size; backward makes the logits of policy and reference again, chunk by chunk.
 */
export function differentiableDivergences(
  prediction: Prediction,
  { differentiated, needsValue, isWeightFrozen }: FigurePurpose,
  compute: () => Figures,
): Figures {
  const { hidden, weight, label } = prediction;
  const reference = prediction.reference as Pick<Prediction, 'hidden' | 'weight'>;
  const tokens = label.size;
  const figures = needsValue ? compute() : {};
  const all = withGradient(
    isWeightFrozen ? [hidden] : [hidden, weight],
    (save) => {
      save([hidden, weight, label, reference.hidden, reference.weight]);
      if (!needsValue) return tf.zeros([differentiated.length * tokens]);
      return tf.concat(differentiated.map((name) => figures[name] as tf.Tensor));
    },
    (dy, saved) => {
      const [hidden, weight, label, otherHidden, otherWeight] = saved as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      const reference = { hidden: otherHidden, weight: otherWeight };
      const columns = tf.transpose(tf.reshape(dy, [differentiated.length, tokens])); // [tokens, figures]
      const chunks = chunksOf({ hidden, weight, label, reference, columns });
      return gradientsInChunks(chunks, (chunk) => chunkGradients(chunk, differentiated, isWeightFrozen));
    },
  );
  const parts = differentiated.map((name, at) => [name, tf.slice(all, at * tokens, tokens)]);
  return { ...figures, ...Object.fromEntries(parts) };
}

function chunkGradients(
  chunk: Prediction & { readonly columns: tf.Tensor },
  differentiated: readonly DifferentiableName[],
  isWeightFrozen: boolean,
): [dHidden: tf.Tensor, dWeight?: tf.Tensor] {
  const { hidden, weight, label, reference, columns } = chunk;
  const policy = softened(chunk);
  const other = softened(reference as Pick<Prediction, 'hidden' | 'weight'>);
  const byLogits = (name: DifferentiableName): tf.Tensor => {
    if (name !== 'logps') return divergenceGradient(name, policy, other);
    // wasm has integers in it whatever it is asked for
    const hit = tf.cast(tf.oneHot(label as tf.Tensor1D, weight.shape[0] as number), 'float32');
    return tf.sub(hit, tf.div(policy.exponentials, policy.sum));
  };
  const dLogits = differentiated
    .map((name, at) => tf.mul(byLogits(name), tf.slice(columns, [0, at], [-1, 1]))) // [chunk, vocabulary]
    .reduce((sum, each) => tf.add(sum, each)) as tf.Tensor2D;
  const dHidden = tf.matMul(dLogits, weight as tf.Tensor2D);
  return isWeightFrozen ? [dHidden] : [dHidden, tf.matMul(dLogits, hidden as tf.Tensor2D, true, false)];
}
