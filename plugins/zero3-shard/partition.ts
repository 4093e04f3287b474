import { type Collectives, type ParameterSpec, type Range, rangeOf } from 'mooring';

/** Who holds what of a parameter. */
export interface Partition {
  readonly ranks: number;
  /** Whether every rank holds all of it: what is too small to be worth a gather. */
  isWhole(spec: ParameterSpec): boolean;
  /** The elements that this rank holds. */
  range(spec: ParameterSpec): Range;
  /** The elements of a parameter that is not whole, by rank, one range after the other. */
  rangesOf(spec: ParameterSpec): readonly Range[];
}

/** Splits every parameter of more than `persistenceThreshold` elements evenly among the ranks. */
export function createPartition({ rank, ranks }: Collectives, persistenceThreshold: number): Partition {
  const smallest = Math.max(persistenceThreshold, 2); // a pair of elements stays together
  const isWhole = (spec: ParameterSpec) => ranks === 1 || elementsOf(spec) <= smallest;
  return {
    ranks,
    isWhole,
    range: (spec) => (isWhole(spec) ? { begin: 0, end: elementsOf(spec) } : rangeOf(elementsOf(spec), rank, ranks)),
    rangesOf: (spec) => Array.from({ length: ranks }, (_, each) => rangeOf(elementsOf(spec), each, ranks)),
  };
}

/** Whether a list of so many elements has a collective to itself, and is not joined with others. */
export function isLarge(elements: number): boolean {
  return elements >= 65_536;
}

/** How many numbers a parameter has. */
export function elementsOf({ shape }: Pick<ParameterSpec, 'shape'>): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** How many elements a range has. */
export function lengthOf({ begin, end }: Range): number {
  return end - begin;
}
