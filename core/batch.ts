import { countTokens, type Rows } from './rows.ts';

/** What a data source yields and an objective reads: one micro-batch. `kind` says which objectives accept it. */
export interface Batch {
  readonly kind: string;
  /** How many batches of the run came before it. */
  readonly position: number;
  /** Where its rows came from, for messages: `pairs.jsonl lines 3, 17`. */
  readonly origin: string;
  /** How many of each thing it holds; a loss term's `per` names one. Known before any forward, so that normalisers are exact. */
  readonly counts: { readonly row: number; readonly token: number } & Readonly<Record<string, number>>;
}

/**
 * Preference pairs. The sequences of `rows` are the chosen ones first, then as many rejected in the same order; a pair may
 * share its prompt, as two branches of one row. `counts.row` counts pairs, `counts.token` completion tokens of both, `counts.chosenToken` of the chosen.
 */
export interface PreferenceBatch extends Batch {
  readonly kind: 'preference';
  readonly pairs: number;
  readonly rows: Rows;
}

/** Rows of plain text whose every token is a target, as for next-token training. */
export interface TextBatch extends Batch {
  readonly kind: 'text';
  readonly rows: Rows;
}

/** Tokens that batches put into the model, prompts included (a shared one in each sequence) and padding not: the `num_tokens` of TRL. */
export function inputTokens(batches: readonly Batch[]): number {
  const hasRows = (batch: Batch): batch is TextBatch | PreferenceBatch => 'rows' in batch;
  return batches.filter(hasRows).reduce((sum, { rows }) => sum + countTokens(rows), 0);
}
