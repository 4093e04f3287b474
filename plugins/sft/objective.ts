import * as tf from '@tensorflow/tfjs';
import { countTokens, type Objective, type Outputs, type PreferenceBatch, type Rows, sliceRows } from 'mooring';

/** Mean negative log-likelihood of the chosen completions' tokens, without a reference; figures under TRL's names. */
export function createSftObjective(): Objective {
  return {
    accepts: 'preference',
    passes: (batch) => [
      {
        key: 'policy',
        of: 'policy',
        rows: chosenOf(batch as PreferenceBatch),
        outputs: ['logps', 'entropy', 'correct'],
        counted: 'chosenToken',
      },
    ],
    terms({ outputs }) {
      const { logps } = outputs.policy as Required<Outputs>;
      return [{ name: 'nll', sum: tf.neg(tf.sum(logps)), per: 'chosenToken' }];
    },
    metrics({ batch, outputs }) {
      const { entropy, correct } = outputs.policy as Required<Outputs>;
      const mean = (values: tf.Tensor) =>
        ({ value: values.size === 0 ? 0 : tf.mean(values), reduce: 'mean', weight: values.size }) as const;
      return {
        entropy: mean(entropy),
        mean_token_accuracy: mean(correct),
        num_tokens: { value: countTokens(chosenOf(batch as PreferenceBatch)), reduce: 'sum' },
      };
    },
  };
}

/** The chosen sequences. Of a row that forks the chosen branch, which comes first. */
function chosenOf({ rows, pairs, counts }: PreferenceBatch): Rows {
  if (rows.fork === undefined) return { ...sliceRows(rows, 0, pairs).part, sequences: pairs };
  const { time, batch, ids, mask, targets } = rows;
  const { trunk, branch } = rows.fork;
  const length = trunk + branch;
  const first = (values: Int32Array) => values.filter((_, at) => at % time < length);
  const chosen = (values: Int32Array) => values.slice(0, counts.chosenToken ?? 0); // they come first
  const source = chosen(targets.source).map((at) => Math.floor(at / time) * length + (at % time));
  return {
    ...{ firstRow: rows.firstRow, batch, time: length, sequences: pairs, fork: { trunk, branches: 1, branch } },
    ids: first(ids),
    mask: first(mask),
    targets: { source, label: chosen(targets.label), row: chosen(targets.row), position: chosen(targets.position) },
  };
}
