import { collectiveSeconds, type Network } from './network.ts';

/** A visit of a pass to a block, on one rank: what it takes before, during and after. */
export interface Visit {
  readonly block: string;
  /** Of the block's parameters, all ranks together, that are gathered before it. */
  readonly gatheredBytes: number;
  readonly computeSeconds: number;
  /** Of the gradients that it leaves, which are reduce-scattered after it: 0 of a forward pass. */
  readonly reducedBytes: number;
}

/** A step of one rank: its visits in order, and what it does to its own part of parameters afterwards. */
export interface StepWork {
  readonly visits: readonly Visit[];
  /** Of the optimizer, over all parameters: each rank has its part of them. */
  readonly optimizerSeconds: number;
}

/** What a step comes to, in seconds. */
export interface SimulatedStep {
  readonly total: number;
  readonly compute: number;
  /** Of all collectives, one after the other. */
  readonly network: number;
  /** Of them those in which the rank computes as well; the rest it waits. */
  readonly hidden: number;
  /** Of the gathers alone; and of them what the rank does not wait for, be it because a reduction is in their way. */
  readonly gathers: number;
  readonly hiddenGathers: number;
  /** How long the rank waits before each visit. */
  readonly waits: readonly number[];
}

/** How a step runs. */
export interface StepSetting {
  readonly ranks: number;
  readonly network: Network;
  /**
   * With it, the next block's gather begins when a block begins to compute, and gradients are reduced while the next block
   * computes; one collective at a time, in the order in which they are begun. Without, nothing happens at once.
   */
  readonly isPrefetched: boolean;
}

/** How long a step of ZeRO-3 takes where every rank does the same work at the same speed: pure arithmetic. */
export function simulateStep({ visits, optimizerSeconds }: StepWork, setting: StepSetting): SimulatedStep {
  const { ranks, network, isPrefetched } = setting;
  const seconds = (bytes: number) => (bytes === 0 ? 0 : collectiveSeconds(bytes, ranks, network));
  const ownOptimizer = optimizerSeconds / ranks;
  const compute = sum(visits.map((visit) => visit.computeSeconds)) + ownOptimizer;
  const gathers = sum(visits.map((visit) => seconds(visit.gatheredBytes)));
  const reductions = sum(visits.map((visit) => seconds(visit.reducedBytes)));
  const all = gathers + reductions;
  if (!isPrefetched) {
    const waits = visits.map((visit) => seconds(visit.gatheredBytes));
    return { total: compute + all, compute, network: all, hidden: 0, gathers, hiddenGathers: 0, waits };
  }

  // two clocks: of the rank's cores and of its link
  let computed = 0;
  const waits: number[] = [];
  let linkFree = seconds(visits[0]?.gatheredBytes ?? 0);
  let gathered = linkFree;
  for (const [index, visit] of visits.entries()) {
    const begun = Math.max(computed, gathered);
    waits.push(begun - computed);
    const next = seconds(visits[index + 1]?.gatheredBytes ?? 0);
    linkFree = Math.max(linkFree, begun) + next;
    gathered = next === 0 ? begun : linkFree;
    computed = begun + visit.computeSeconds;
    const reduction = seconds(visit.reducedBytes);
    if (reduction > 0) linkFree = Math.max(linkFree, computed) + reduction;
  }
  // the optimizer needs all gradients
  const total = Math.max(computed, linkFree) + ownOptimizer;
  return {
    total,
    compute,
    network: all,
    hidden: all - (total - compute),
    gathers,
    hiddenGathers: Math.max(0, gathers - sum(waits)),
    waits,
  };
}

/** The fewest ranks, of those looked at, on which less than `share` of the gathers is hidden; `undefined` where all hide it. */
export function firstUnhidden(
  work: StepWork,
  network: Network,
  allRanks: readonly number[],
  share: number,
): number | undefined {
  return allRanks.find((ranks) => {
    const { gathers, hiddenGathers } = simulateStep(work, { ranks, network, isPrefetched: true });
    return gathers > 0 && hiddenGathers < share * gathers;
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
