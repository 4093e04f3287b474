import type { Collectives } from './collectives.ts';
import { failure } from './errors.ts';
import { gatherTexts } from './gather-texts.ts';

/**
 * Runs `body` on every rank, and goes on only where it went well on all: a rank on which it threw throws that, the others
 * RANK_FAILED, and none waits for one that is gone. Where `body` uses collectives, it must do so on all ranks.
 */
export async function together<Result>(
  collectives: Collectives,
  of: string,
  body: () => Promise<Result>,
): Promise<Result> {
  if (collectives.ranks === 1) return body();
  const outcome = await body().then(
    (value) => ({ value, cause: '' }),
    (error: Error) => ({ error, cause: error.message }),
  );
  const causes = await gatherTexts(collectives, outcome.cause, of);
  if ('error' in outcome) throw outcome.error;
  const rank = causes.findIndex((cause) => cause !== '');
  if (rank >= 0) throw failure('RANK_FAILED', { rank, cause: causes[rank] ?? '', awaited: of });
  return outcome.value;
}

/** Runs `body` on the first rank, and throws on all where it failed there. */
export async function onFirst(collectives: Collectives, of: string, body: () => Promise<void>): Promise<void> {
  await together(collectives, of, async () => {
    if (collectives.rank === 0) await body();
  });
}

/** What the first rank says, on all. Throws RANK_FAILED. */
export async function announced(collectives: Collectives, text: string, of: string): Promise<string> {
  if (collectives.ranks === 1) return text;
  const [first = ''] = await gatherTexts(collectives, collectives.rank === 0 ? text : '', of);
  return first;
}
