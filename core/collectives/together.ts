import { MooringError } from '../errors.ts';
import type { Collectives } from './collectives.ts';
import { causeOf, rankFailed } from './errors.ts';
import { gatherTexts } from './gather-texts.ts';

/**
 * Runs `body`, which uses no collectives, on every rank, and goes on only where it went well on all. Else all throw the
 * error of the first rank on which it did not, so that they can do the same about it; one that is no MooringError is
 * RANK_FAILED on the other ranks.
 */
export async function together<Result>(
  collectives: Collectives,
  of: string,
  body: () => Promise<Result>,
): Promise<Result> {
  if (collectives.ranks === 1) return body();
  const outcome = await body().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const told = await gatherTexts(collectives, 'error' in outcome ? describe(outcome.error) : '', of);
  const rank = told.findIndex((each) => each !== '');
  if (rank < 0) return (outcome as { value: Result }).value;
  const own = 'error' in outcome ? outcome.error : undefined;
  return throwOnAll(collectives, of, rank === collectives.rank ? own : errorOf(rank, told[rank] as string, of, own));
}

/** Throws what every rank has come to throw, once all have: who throws first ends the others. */
export async function throwOnAll(collectives: Collectives, of: string, error: unknown): Promise<never> {
  if (error instanceof MooringError) thrownByAll.add(error);
  await collectives.barrier(`the end of ${of}`).catch(() => undefined);
  throw error;
}

const thrownByAll = new WeakSet<MooringError>();

/** Whether every rank threw this, of one code: nobody waits for whom it happened to, and the first can tell of it for all. */
export function isThrownByAll(error: unknown): boolean {
  if (!(error instanceof MooringError)) return false;
  // a hook makes it anew, with its place
  return thrownByAll.has(error) || (isThrownByAll(error.cause) && (error.cause as MooringError).code === error.code);
}

/**
 * Runs `body`, which uses collectives, on every rank. Where it throws on one what the others do not know of, they are told
 * at once: they may be waiting in any collective, and throw RANK_FAILED there.
 */
export async function inStep<Result>(
  collectives: Collectives,
  of: string,
  body: () => Promise<Result>,
): Promise<Result> {
  if (collectives.ranks === 1) return body();
  try {
    const result = await body();
    await collectives.barrier(of);
    return result;
  } catch (error) {
    if (!isThrownByAll(error) && !(error instanceof MooringError && error.code === 'RANK_FAILED'))
      collectives.abort(causeOf(error));
    throw error;
  }
}

/** Runs `body` on the first rank, and throws on all where it failed there. */
export async function onFirst(collectives: Collectives, of: string, body: () => Promise<void>): Promise<void> {
  await together(collectives, of, async () => {
    if (collectives.rank === 0) await body();
  });
}

/** What `say`, called on the first rank only, gives there, on all; throws on all where it failed. */
export async function announced(
  collectives: Collectives,
  of: string,
  say: () => string | Promise<string>,
): Promise<string> {
  let own = '';
  await onFirst(collectives, of, async () => {
    own = await say();
  });
  if (collectives.ranks === 1) return own;
  const [first = ''] = await gatherTexts(collectives, own, of);
  return first;
}

/** Never empty, whatever was thrown. */
function describe(error: unknown): string {
  if (!(error instanceof MooringError)) return JSON.stringify({ cause: causeOf(error) });
  const { code, entry, details } = error;
  return JSON.stringify({ code, entry, details });
}

/** The error that another rank told of. */
function errorOf(rank: number, told: string, awaited: string, cause: unknown): MooringError {
  const { code, entry, details, cause: text } = JSON.parse(told) as Partial<MooringError>;
  if (code === undefined || entry === undefined) return rankFailed(rank, String(text), awaited);
  return new MooringError(
    code,
    { ...entry, fact: `On rank ${rank}: ${entry.fact}` },
    { details: details ?? {}, cause },
  );
}
