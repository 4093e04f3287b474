import { type Result, type Value, walk } from '../engine/compile/graph.ts';
import { operationRules } from '../engine/compile/operations.ts';

/**
 * What a forward part keeps so that `wanted` can be computed from it: the values that cross from one part to the other.
 * Where it leaves fewer bytes, what elementwise operations yield is made again from what they read instead: of
 * `silu(gate) * up` only `gate` and `up` stay. XLA fuses the making into what reads it. Of an input `isKeptForIt` says
 * that it would have to be kept as well, and so is not free. Nothing is kept that is a parameter in another form, as a
 * widened one is: parameters are there in the backward pass as well.
 */
export function residualsOf(
  wanted: readonly Value[],
  isForward: (value: Value) => boolean,
  isKeptForIt: (input: Value) => boolean,
): Value[] {
  let kept: readonly Value[] = [];
  const isCrossing = (value: Value) => isForward(value) && !isParameter(value);
  const note = (value: Value) => {
    if (isCrossing(value)) kept = [...kept, value];
  };
  walk(wanted, note, isCrossing);
  const isCosting = (value: Value) => !isParameter(value) && (value.kind === 'result' || isKeptForIt(value));
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

/** Operations that give numbers another form: all that widening a bfloat16 parameter takes. */
const forms = new Set(['LeftShift', 'BitwiseAnd', 'Bitcast', 'ConcatV2', 'Slice', 'Reshape']);

/** Whether a value is a parameter, whatever its form. */
function isParameter(value: Value): boolean {
  if (value.kind === 'input') return value.name.startsWith('parameter:');
  if (value.kind === 'constant' || !forms.has(value.operation.name)) return false;
  return value.operation.inputs.every((input) => input.kind === 'constant' || isParameter(input));
}

function isRemade(value: Value): value is Result {
  return value.kind === 'result' && operationRules[value.operation.name]?.isElementwise === true;
}

function bytes(values: readonly Value[]): number {
  return values.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 4), 0);
}
