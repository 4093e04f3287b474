/** What a micro-step computes, in tokens. */
export interface Workload {
  /** Preference pairs. */
  readonly pairs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Whether chosen and rejected share the row of their prompt. */
  readonly sharesPrompts: boolean;
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
