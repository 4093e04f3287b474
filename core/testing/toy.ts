import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { TextBatch } from '../batch.ts';
import type { Block, Model } from '../model.ts';
import { definePlugin } from '../plugin.ts';
import { packRows } from '../rows.ts';
import * as Tokens from '../tokens.ts';

const vocabulary = 8;
const hidden = 4;

/**
 * A whole run in the small, to test plugins with: a model of one embedding and one head, data that counts upwards, and
 * next-token loss; with `evalEverySteps`, evaluation data too. Everything is computed for real; a step takes a millisecond on the cpu engine.
 */
export const toy = definePlugin({
  name: 'toy',
  apiVersion: 1,
  options: z.strictObject({ batches: z.int().positive().default(3), rows: z.int().positive().default(2) }),
  apply({ provide, options }) {
    provide(Tokens.Model, { uses: { random: Tokens.Random }, create: ({ random }) => toyModel(random) });
    provide(Tokens.DataSource, { uses: {}, create: () => toyData(options.batches, options.rows, Infinity) });
    provide(Tokens.EvaluationData, {
      uses: { config: Tokens.RunConfig },
      create: ({ config }) =>
        config.train.evalEverySteps === undefined ? undefined : toyData(options.batches, options.rows, 1),
    });
    provide(Tokens.Objective, { uses: {}, create: () => nextToken });
  },
});

/** Mean negative log-likelihood of the next token; scores the reference too, where a run has one. */
const nextToken: Tokens.Objective = {
  accepts: 'text',
  passes: (batch) => [{ key: 'policy', of: 'policy', rows: (batch as TextBatch).rows, outputs: ['logps'] }],
  terms: ({ outputs }) => [{ name: 'nll', sum: tf.neg(tf.sum(outputs.policy?.logps as tf.Tensor)), per: 'token' }],
  metrics: ({ outputs, batch }) => ({
    'logps/mean': { value: tf.mean(outputs.policy?.logps as tf.Tensor), reduce: 'mean', weight: batch.counts.token },
  }),
};

function toyData(batchesPerEpoch: number, rowCount: number, epochs: number): Tokens.DataSource {
  return {
    fingerprint: `toy-${batchesPerEpoch}-${rowCount}`,
    batchesPerEpoch,
    async *open(position): AsyncIterableIterator<TextBatch> {
      for (let at = position; at < batchesPerEpoch * epochs; at++) {
        const starts = Array.from({ length: rowCount }, (_, row) => (at % batchesPerEpoch) * rowCount + row);
        const sequences = starts.map((start) => ({
          ids: [0, 1, 2, 3].map((i) => (start + i) % vocabulary),
          completionStart: 1,
        }));
        const rows = packRows(sequences, { firstRow: at * rowCount });
        const counts = { row: rowCount, token: rows.targets.label.length };
        yield { kind: 'text', position: at, origin: `toy batch ${at}`, counts, rows };
      }
    },
  };
}

function toyModel(random: Tokens.Random): Model {
  const parameters = [
    { name: 'embedding.weight', shape: [vocabulary, hidden], isDecayed: true },
    { name: 'head.weight', shape: [vocabulary, hidden], isDecayed: true },
    { name: 'head.bias', shape: [vocabulary], isDecayed: false },
  ];
  const embedding: Block = {
    name: 'embedding',
    kind: 'embedding',
    parameters: { weight: 'embedding.weight' },
    modules: { tokens: { kind: 'embedding', layout: 'in,out', weight: 'weight' } },
    run: (scope, { ids }) => ({ hidden: scope.embedding('tokens', ids as tf.Tensor) }),
  };
  const head: Block = {
    name: 'head',
    kind: 'head',
    parameters: { weight: 'head.weight', bias: 'head.bias' },
    modules: { scores: { kind: 'linear', layout: 'out,in', weight: 'weight', bias: 'bias' } },
    run(scope, { hidden: states, source, label }) {
      const logits = scope.linear('scores', tf.gather(states as tf.Tensor, source as tf.Tensor1D)); // [tokens, vocabulary]
      const chosen = tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(label as tf.Tensor1D, vocabulary)), -1); // [tokens]
      return { logps: chosen };
    },
  };
  return {
    description: 'toy',
    vocabularySize: vocabulary,
    parameters,
    blocks: [embedding, head],
    prepare: ({ ids, targets }) => ({
      ids: tf.tensor1d(ids, 'int32'),
      source: tf.tensor1d(targets.source, 'int32'),
      label: tf.tensor1d(targets.label, 'int32'),
    }),
    dropoutMasks: () => ({}),
    async *load() {
      for (const { name, shape } of parameters) {
        const { next } = random.stream('toy', name);
        const size = shape.reduce((product, each) => product * each, 1);
        yield [
          name,
          tf.tensor(
            Float32Array.from({ length: size }, () => next() - 0.5),
            shape,
          ),
        ] as const;
      }
    },
  };
}
