import { type PreferenceBatch, packBranches, packRows, type Rows, type Sequence } from 'mooring';
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

/** How pairs become rows. `fits`: the prompt is shared where that takes fewer positions, padding included. */
export type Sharing = 'always' | 'fits' | 'never';

/** Pairs as one batch: chosen sequences first, then the rejected in the same order, padded on the right to the longest. */
export function collate(
  pairs: readonly TokenizedPair[],
  options: Truncation &
    Pick<PreferenceBatch, 'position' | 'origin'> & {
      readonly padId: number;
      readonly firstRow: number;
      readonly sharing: Sharing;
    },
): PreferenceBatch {
  const rows = packPairs(
    pairs.map((pair) => truncate(pair.prompt, pair.chosen, options)),
    pairs.map((pair) => truncate(pair.prompt, pair.rejected, options)),
    options,
  );
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

function packPairs(
  chosen: readonly Sequence[],
  rejected: readonly Sequence[],
  options: { readonly padId: number; readonly firstRow: number; readonly sharing: Sharing },
): Rows {
  if (options.sharing === 'always') return packBranches([chosen, rejected], options);
  const apart = packRows([...chosen, ...rejected], options);
  if (options.sharing === 'never') return apart;
  const shared = packBranches([chosen, rejected], options);
  return shared.ids.length < apart.ids.length ? shared : apart;
}
