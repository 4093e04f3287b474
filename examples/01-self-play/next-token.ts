import * as tf from '@tensorflow/tfjs';
import {
  DataSource,
  definePlugin,
  EvaluationData,
  Objective,
  packRows,
  Random,
  RunConfig,
  type TextBatch,
  Tokenizer,
} from 'mooring';
import { z } from 'zod';
import { type Document, textOf } from './corpus.ts';

/**
 * Next-token training on plain text, composed from the public API: a data source that cuts a token stream into rows,
 * and an objective of one term. It is all that pretraining needs; the loop, the optimizer and the model are mooring's.
 */
export const nextToken = definePlugin({
  name: 'next-token',
  apiVersion: 1,
  options: z.strictObject({
    training: z.custom<readonly Document[]>(),
    evaluation: z.custom<readonly Document[]>(),
    time: z.int().positive(),
  }),
  apply({ provide, options: { training, evaluation, time } }) {
    const uses = { tokenizer: Tokenizer, random: Random, config: RunConfig };
    provide(DataSource, {
      uses,
      create: ({ tokenizer, random, config }) => rowsOf(training, tokenizer, time, config.train.batchSize, random),
    });
    provide(EvaluationData, {
      uses,
      create: ({ tokenizer, config }) => rowsOf(evaluation, tokenizer, time, config.train.batchSize),
    });
    provide(Objective, { uses: {}, create: () => objective });
  },
});

const objective: Objective = {
  accepts: 'text',
  passes: (batch) => [{ key: 'policy', of: 'policy', rows: (batch as TextBatch).rows, outputs: ['logps'] }],
  terms: ({ outputs }) => [{ name: 'nll', sum: tf.neg(tf.sum(outputs.policy?.logps as tf.Tensor)), per: 'token' }],
  metrics: ({ batch }) => ({ num_tokens: { value: batch.counts.token, reduce: 'sum' } }),
};

/** Documents one after another, each closed by the end-of-sequence token, cut into rows; shuffled anew each epoch. */
function rowsOf(
  documents: readonly Document[],
  tokenizer: Tokenizer,
  time: number,
  batchSize: number,
  random?: Random,
): DataSource {
  const stream = documents.flatMap((document) => [...tokenizer.encode(textOf(document)), tokenizer.eosId as number]);
  // a row's first token is never a target: rows overlap by one, so that every token but the very first is learned
  const starts = Array.from({ length: Math.floor((stream.length - 1) / (time - 1)) }, (_, row) => row * (time - 1));
  const batchesPerEpoch = Math.floor(starts.length / batchSize);
  return {
    fingerprint: `${documents.map((document) => document.id).join(' ')} in rows of ${time}`,
    batchesPerEpoch,
    async *open(first): AsyncIterableIterator<TextBatch> {
      for (let position = first; ; position++) {
        const epoch = Math.floor(position / batchesPerEpoch);
        const order = random === undefined ? starts : shuffled(starts, random.stream('rows', epoch));
        const begin = (position % batchesPerEpoch) * batchSize;
        const sequences = order
          .slice(begin, begin + batchSize)
          .map((start) => ({ ids: stream.slice(start, start + time), completionStart: 1 }));
        const rows = packRows(sequences, { firstRow: position * batchSize });
        const counts = { row: batchSize, token: rows.targets.label.length };
        yield { kind: 'text', position, origin: `text rows ${begin} to ${begin + batchSize - 1}`, counts, rows };
      }
    },
  };
}

/** Fisher and Yates's shuffle. */
function shuffled(values: readonly number[], stream: ReturnType<Random['stream']>): number[] {
  const result = [...values];
  for (let at = result.length - 1; at > 0; at--) {
    const other = stream.integer(at + 1);
    [result[at], result[other]] = [result[other] as number, result[at] as number];
  }
  return result;
}
