import type { Rows } from 'mooring';

/** What a micro-step computes, in tokens. */
export interface Workload {
  /** Preference pairs. */
  readonly pairs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Whether chosen and rejected share the row of their prompt. */
  readonly sharesPrompts: boolean;
}

/**
 * The widest rows of those that fork and of those that do not, each as large as any in every way that they are padded in:
 * which of both takes more is not said. Of no rows a single token.
 */
export function widestRows(all: readonly Rows[]): Workload[] {
  const workloads = all.map(workloadOf);
  const kinds = [true, false].map((isShared) => workloads.filter(({ sharesPrompts }) => sharesPrompts === isShared));
  const widest = kinds.flatMap((kind) => (kind.length === 0 ? [] : [kind.reduce(wider)]));
  return widest.length > 0 ? widest : [{ pairs: 1, promptTokens: 0, completionTokens: 1, sharesPrompts: true }];
}

/** Rows that fork are padded to a prompt and a completion, others to their whole length. */
function wider(one: Workload, other: Workload): Workload {
  const most = (of: (workload: Workload) => number) => Math.max(of(one), of(other));
  const completionTokens = most((workload) => workload.completionTokens);
  const time = most((workload) => workload.promptTokens + workload.completionTokens);
  const promptTokens = one.sharesPrompts ? most((workload) => workload.promptTokens) : time - completionTokens;
  return { ...one, pairs: most(({ pairs }) => pairs), promptTokens, completionTokens };
}

function workloadOf({ batch, time, fork, targets }: Rows): Workload {
  if (fork !== undefined)
    return { pairs: batch, promptTokens: fork.trunk, completionTokens: fork.branch, sharesPrompts: true };
  const completionTokens = Math.ceil(targets.label.length / batch);
  return { pairs: batch / 2, promptTokens: time - completionTokens, completionTokens, sharesPrompts: false };
}

/** A workload as the model's rows have it. */
export interface RowCounts {
  /** Tokens in all rows. */
  readonly tokens: number;
  /** Tokens of them that belong to a shared prompt: their keys and values are held once more, beside the branches' own. */
  readonly trunkTokens: number;
  /** Keys that all branches see, the prompt's repeated for each; 0 where rows do not fork. */
  readonly branchKeys: number;
  /** Pairs of a query and a key in one head. */
  readonly scores: number;
  /** Tokens that are predicted. */
  readonly targets: number;
}

/** Counts the tokens of a workload: `[prompt | chosen | rejected]` in one row, or each sequence in its own. */
export function countRows({ pairs, promptTokens, completionTokens, sharesPrompts }: Workload): RowCounts {
  const sequence = promptTokens + completionTokens;
  const targets = 2 * pairs * completionTokens;
  if (!sharesPrompts) {
    const tokens = 2 * pairs * sequence;
    return { tokens, trunkTokens: 0, branchKeys: 0, scores: tokens * sequence, targets };
  }
  return {
    tokens: pairs * (promptTokens + 2 * completionTokens),
    trunkTokens: pairs * promptTokens,
    branchKeys: 2 * pairs * sequence,
    scores: pairs * (promptTokens ** 2 + 2 * completionTokens * sequence),
    targets,
  };
}
