import { distance } from 'fastest-levenshtein';

/**
 * The three candidates that are nearest to a name, best first, as text. Of a candidate its end counts as well: `q_poj` is
 * near `model.layers.0.self_attn.q_proj`.
 */
export function nearestNames(name: string, candidates: readonly string[]): string {
  const edits = (candidate: string) =>
    Math.min(distance(name, candidate), 0.5 + distance(name, endOf(candidate, name)));
  const ranked = [...new Set(candidates)].map((each) => ({ each, edits: edits(each) }));
  const nearest = ranked.sort((one, other) => one.edits - other.edits).slice(0, 3);
  return nearest.length === 0 ? 'none' : nearest.map(({ each }) => each).join(', ');
}

/** As many of its last parts as `name` has. */
function endOf(candidate: string, name: string): string {
  return candidate.split('.').slice(-name.split('.').length).join('.');
}
