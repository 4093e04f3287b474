import { type Model, rangeOf } from 'mooring';

/** What a rank takes from others, and sends of gradients, in a step of full training with a clone. */
export interface StepTraffic {
  readonly gathered: number;
  readonly reduced: number;
}

/**
 * The formula: three visits to each block, of the policy, the reference, and backward, each gather of every parameter of the
 * block that is split all numbers but the rank's own; of each gradient the rank sends all but its part, and of a parameter
 * that is whole everywhere all of it. 4 bytes a number.
 */
export function stepTraffic(
  { blocks, parameters }: Pick<Model, 'blocks' | 'parameters'>,
  { rank, ranks, persistenceThreshold }: { rank: number; ranks: number; persistenceThreshold: number },
): StepTraffic {
  const sizes = new Map(
    parameters.map(({ name, shape }) => [name, shape.reduce((product, size) => product * size, 1)]),
  );
  const isSplit = (numbers: number) => ranks > 1 && numbers > persistenceThreshold;
  const others = (numbers: number) => {
    const { begin, end } = rangeOf(numbers, rank, ranks);
    return numbers - (end - begin);
  };
  const read = blocks.flatMap((block) =>
    [...new Set(Object.values(block.parameters))].map((name) => sizes.get(name) ?? 0),
  );
  const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
  const reduced = [...sizes.values()].map((numbers) => (isSplit(numbers) ? others(numbers) : ranks > 1 ? numbers : 0));
  return { gathered: 4 * 3 * sum(read.filter(isSplit).map(others)), reduced: 4 * sum(reduced) };
}
