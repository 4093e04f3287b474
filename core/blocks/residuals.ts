import { type Result, type Value, walk } from '../engine/compile/graph.ts';
import { operationRules } from '../engine/compile/operations.ts';

/**
 * What a forward part keeps so that `wanted` can be computed from it: the values that cross from one part to the other.
 * Where it leaves fewer bytes, what elementwise operations yield is made again from what they read instead: of
 * `silu(gate) * up` only `gate` and `up` stay. XLA fuses the making into what reads it. Of an input `isKeptForIt` says
 * that it would have to be kept as well, and so is not free.
 */
export function residualsOf(
  wanted: readonly Value[],
  isForward: (value: Value) => boolean,
  isKeptForIt: (input: Value) => boolean,
): Value[] {
  let kept: readonly Value[] = [];
  const note = (value: Value) => {
    if (isForward(value)) kept = [...kept, value];
  };
  walk(wanted, note, isForward);
  const isCosting = (value: Value) => value.kind === 'result' || isKeptForIt(value);
  const missing = ({ operation }: Result, from: readonly Value[]) =>
    operation.inputs.filter((input) => isCosting(input) && !from.includes(input));

  for (let better: readonly Value[] | undefined = kept; better !== undefined; ) {
    kept = better;
    better = kept
      .filter(isRemade)
      .map((value) => withoutFree([...kept.filter((other) => other !== value), ...missing(value, kept)]))
      .find((candidate) => bytes(candidate) < bytes(kept));
  }
  return kept.filter((value) => value.kind === 'result');

  /** Drops what can be made of the others, latest first. */
  function withoutFree(values: readonly Value[]): readonly Value[] {
    const free = values.filter(isRemade).filter((value) => missing(value, values).length === 0);
    const last = free.sort((a, b) => b.operation.index - a.operation.index)[0];
    return last === undefined ? values : withoutFree(values.filter((value) => value !== last));
  }
}

function isRemade(value: Value): value is Result {
  return value.kind === 'result' && operationRules[value.operation.name]?.isElementwise === true;
}

function bytes(values: readonly Value[]): number {
  return values.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 4), 0);
}
