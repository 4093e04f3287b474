import { type Collectives, gatherTexts, type Run, throwOnAll } from 'mooring';
import { failure } from './errors.ts';
import { digestsOf } from './file-digests.ts';

/** Fields as text. */
type Fields = Readonly<Record<string, string>>;

/**
 * Makes sure, before anything is loaded, that all ranks are about to do the same: that package, engine, settings and
 * plugins with their options are alike, and files of the model and of folders that plugins read too, by digests of the same
 * samples of each.
 * Throws RANKS_DIFFER, on every rank, and RANK_FAILED.
 */
export async function agreeOnRun(collectives: Collectives, run: Run): Promise<void> {
  if (collectives.ranks === 1) return;
  const digests = await digestsOf(run.config.model);
  for (const [named, folder] of Object.entries(run.config.folders))
    for (const [file, digest] of Object.entries(await digestsOf(folder))) digests[`${named}: ${file}`] = digest;
  await agreeOn(collectives, {
    ...run.fields(),
    ranks: String(collectives.ranks),
    ...digests,
  });
}

/** Throws RANKS_DIFFER, on every rank, where a field is not the same on all, and RANK_FAILED. */
export async function agreeOn(collectives: Collectives, own: Fields): Promise<void> {
  const texts = await gatherTexts(collectives, JSON.stringify(own), 'the description of the run');
  const [first = {}, ...others] = texts.map((text) => JSON.parse(text) as Fields);
  const fields = new Set([first, ...others].flatMap(Object.keys));
  const differences = [...fields].flatMap((field) => differencesIn(field, first, others));
  if (differences.length === 0) return;
  await throwOnAll(collectives, 'the comparison', failure('RANKS_DIFFER', { differences: differences.join('; ') }));
}

/** Each value that is not that of the first rank, as a clause, with the ranks that have it. */
function differencesIn(field: string, first: Fields, others: readonly Fields[]): string[] {
  const ranksBy = new Map<string | undefined, number[]>();
  for (const [index, { [field]: value }] of others.entries()) {
    if (value !== first[field]) ranksBy.set(value, [...(ranksBy.get(value) ?? []), index + 1]);
  }
  const said = (value: string | undefined) => value ?? 'not set';
  return [...ranksBy].map(
    ([value, ranks]) =>
      `${field} is ${said(first[field])} on rank 0 and ${said(value)} on rank${ranks.length > 1 ? 's' : ''} ${ranks.join(', ')}`,
  );
}
