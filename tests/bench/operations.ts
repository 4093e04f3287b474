/** The shape of a decoder with gated feed-forward layers and grouped-query attention. */
export interface Shape {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly feedForward: number;
  readonly vocabulary: number;
}

/** A batch of preference pairs, all of one length. */
export interface PairSizes {
  readonly pairs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/**
 * Floating-point operations of the matrix products of a DPO step: forward passes of policy and reference, and the
 * policy's backward pass, which has two products for each of the forward's. What is recomputed does not count
 * (Chowdhery et al. 2022, appendix B), nor does anything element-wise. Only completion tokens reach the vocabulary.
 * With `isPromptShared`, a pair's prompt is computed once and both completions attend to it.
 */
export function stepOperations(
  shape: Shape,
  sizes: PairSizes,
  { isPromptShared, isReferenceCached }: { isPromptShared: boolean; isReferenceCached: boolean },
): number {
  const { pairs, promptTokens: prompt, completionTokens: completion } = sizes;
  const whole = prompt + completion;
  const tokens = pairs * (isPromptShared ? prompt + 2 * completion : 2 * whole);
  // query times key positions; a causal mask leaves half of them, which implementations compute all the same
  const scores = pairs * (isPromptShared ? prompt ** 2 + 2 * completion * whole : 2 * whole ** 2);
  const keyValue = (shape.hidden / shape.heads) * shape.keyValueHeads;
  const weights = 2 * shape.hidden * (shape.hidden + keyValue) + 3 * shape.hidden * shape.feedForward; // of a layer
  const layer = 2 * tokens * weights + 2 * 2 * scores * shape.hidden;
  const head = 2 * pairs * 2 * completion * shape.hidden * shape.vocabulary;
  return (isReferenceCached ? 3 : 4) * (shape.layers * layer + head);
}
