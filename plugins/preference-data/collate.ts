import { type PreferenceBatch, packRows, type Sequence } from 'mooring';
import type { TokenizedPair } from './tokenize.ts';

/** How long sequences may become, and which end of a longer one is kept. Names and meaning are TRL's. */
export interface Truncation {
  readonly maxLength: number | null;
  readonly truncationMode: 'keep_start' | 'keep_end';
}

/** A prompt with a completion as one sequence, cut to `maxLength`. */
export function truncate(
  prompt: readonly number[],
  completion: readonly number[],
  { maxLength, truncationMode }: Truncation,
): Sequence {
  const ids = [...prompt, ...completion];
  if (maxLength === null || ids.length <= maxLength) return { ids, completionStart: prompt.length };
  if (truncationMode === 'keep_start') {
    return { ids: ids.slice(0, maxLength), completionStart: Math.min(prompt.length, maxLength) };
  }
  const cut = ids.length - maxLength;
  return { ids: ids.slice(cut), completionStart: Math.max(0, prompt.length - cut) };
}

/** Pairs as one batch: chosen rows first, then the rejected in the same order, padded on the right to the longest. */
export function collate(
  pairs: readonly TokenizedPair[],
  options: Truncation &
    Pick<PreferenceBatch, 'position' | 'origin'> & { readonly padId: number; readonly firstRow: number },
): PreferenceBatch {
  const sequences = (['chosen', 'rejected'] as const).flatMap((side) =>
    pairs.map((pair) => truncate(pair.prompt, pair[side], options)),
  );
  const rows = packRows(sequences, { padId: options.padId, firstRow: options.firstRow });
  const tokenRows = rows.targets.row;
  return {
    kind: 'preference',
    position: options.position,
    origin: options.origin,
    pairs: pairs.length,
    counts: {
      row: pairs.length,
      token: tokenRows.length,
      chosenToken: tokenRows.filter((row) => row < pairs.length).length,
    },
    rows,
  };
}
