import type { Tensor } from '@tensorflow/tfjs';
import type { Collectives, Range } from '../collectives/collectives.ts';
import type { ParameterStore } from '../tokens.ts';
import type { Values } from './safetensors/dtype.ts';
import type { TensorPart } from './safetensors/write-together.ts';

type Place = Pick<Collectives, 'rank' | 'ranks'>;

/** What this rank writes of a parameter in a view, so that all ranks together write it once. */
export function partOf(
  store: Pick<ParameterStore, 'spec' | 'range' | 'readShard'>,
  name: string,
  view: string,
  place: Place,
): TensorPart {
  return { range: answeredRange(store, name, place), read: () => valuesOf(store.readShard(name, view)) };
}

/**
 * The elements of a parameter that this rank answers for: its range, and all of what every rank holds whole if it is the
 * last. It is the last, for that has all of a parameter that is too small to be split.
 */
export function answeredRange(store: Pick<ParameterStore, 'spec' | 'range'>, name: string, place: Place): Range {
  const isElsewhere = isWhole(store, name) && place.rank < place.ranks - 1;
  return isElsewhere ? { begin: 0, end: 0 } : store.range(name);
}

/** Whether this rank holds all of a parameter. */
export function isWhole(store: Pick<ParameterStore, 'spec' | 'range'>, name: string): boolean {
  const { begin, end } = store.range(name);
  return end - begin === store.spec(name).shape.reduce((product, size) => product * size, 1);
}

/** The values of a tensor, which is freed. */
export async function valuesOf(value: Tensor): Promise<Values> {
  return (await value.data().finally(() => value.dispose())) as Values;
}
