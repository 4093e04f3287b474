import type { Assessment, Question } from './advice.ts';
import { formatBytes } from './byte-count.ts';
import { mechanisms } from './mechanisms.ts';
import { predictMemory } from './predict-memory.ts';
import { refusalOf } from './refusal.ts';

/** The mechanism that is advised. */
export interface Choice {
  /** `undefined` where nothing fits. */
  readonly name: string | undefined;
  /** One sentence. */
  readonly reason: string;
  /** The fewest ranks over which the model could be sharded in this memory; `undefined` where more do not help. */
  readonly leastRanks: number | undefined;
}

/** Parameters from which a model is sharded whatever fits. */
export const shardedAbove = 20e9;

/** More ranks than these are not looked at. */
const mostRanks = 2 ** 14;

/**
 * Over 20 billion parameters, or over what one machine holds: sharded. Memory enough for two copies: full. Else adapters.
 * Within a kind, the first that fits. A model that should be sharded and has no ranks to be so takes adapters if they fit.
 */
export function choose(question: Question, assessments: readonly Assessment[]): Choice {
  const leastRanks = fewestRanks((ranks) => someFits(question, ranks));
  const first = (kind: (one: Assessment) => boolean) =>
    assessments.find((one) => kind(one) && one.obstacles.length === 0);
  const isFull = ({ mechanism }: Assessment) => mechanism.trains === 'all' && mechanism.stage === 0;
  const hasCopy = (one: Assessment) => isFull(one) && ['clone', 'reload-memory'].includes(one.mechanism.reference);
  const sharded = first(({ mechanism }) => mechanism.stage > 0);
  const adapters = first(({ mechanism }) => mechanism.trains === 'adapters' && mechanism.stage === 0);
  const withCopy = first(hasCopy);
  const withoutCopy = first(isFull);
  const memory = formatBytes(question.memory);
  const needs = (one: Assessment) => `needs ${formatBytes(one.bytes.resident)} of ${memory}`;
  const chosen = (one: Assessment, reason: string): Choice => ({ name: one.mechanism.name, reason, leastRanks });
  const size = `${(question.shapes.parameters / 1e9).toPrecision(3)} billion parameters`;

  const isLarge = question.shapes.parameters > shardedAbove;
  if (isLarge && sharded !== undefined)
    return chosen(
      sharded,
      `${size} are more than 20 billion, and sharded each of ${question.ranks} ranks ${needs(sharded)}.`,
    );
  if (!isLarge && withCopy !== undefined)
    return chosen(withCopy, `There is memory for the policy and a copy of it: full training ${needs(withCopy)}.`);
  if (adapters !== undefined && !isLarge)
    return chosen(adapters, `Two copies do not fit, and adapters on one frozen base do: that ${needs(adapters)}.`);
  if (withoutCopy !== undefined && !isLarge)
    return chosen(
      withoutCopy,
      `A second copy in memory does not fit, and the reference can do without: that ${needs(withoutCopy)}.`,
    );
  if (sharded !== undefined)
    return chosen(sharded, `One machine does not hold it, and each of ${question.ranks} ranks ${needs(sharded)}.`);
  if (adapters !== undefined) {
    const enough = leastRanks === undefined ? 'no number of ranks is enough' : `it takes at least ${leastRanks} ranks`;
    return chosen(
      adapters,
      `${size} should be sharded, for which ${enough}; adapters fit here: that ${needs(adapters)}.`,
    );
  }
  return { name: undefined, reason: nothingFits(leastRanks, memory), leastRanks };
}

function nothingFits(leastRanks: number | undefined, memory: string): string {
  if (leastRanks !== undefined)
    return `Nothing fits: sharded, it needs at least ${leastRanks} ranks of ${memory} each.`;
  return `Nothing fits, and no number of ranks of ${memory} is enough: what one rank computes at a time is too large, so give fewer pairs, shorter sequences or more memory.`;
}

/** Whether some sharded mechanism fits on so many ranks. */
function someFits(question: Question, ranks: number): boolean {
  return mechanisms.some((mechanism) => {
    if (mechanism.stage === 0 || refusalOf(mechanism, question.shapes, question) !== undefined) return false;
    return predictMemory(question.shapes, { ...question, mechanism, ranks }).resident <= question.memory;
  });
}

/** The fewest ranks that are enough, of two and more, where more need less of each; `undefined` where none are. */
export function fewestRanks(fits: (ranks: number) => boolean): number | undefined {
  let most = 2;
  while (!fits(most)) {
    most *= 2;
    if (most > mostRanks) return undefined;
  }
  let least = most / 2;
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2);
    if (fits(middle)) most = middle;
    else least = middle;
  }
  return most;
}
