import type { Collectives, Range } from '../collectives/collectives.ts';
import type { ParameterStore } from '../tokens.ts';
import type { Values } from './safetensors/dtype.ts';
import type { TensorPart } from './safetensors/write-together.ts';

/** What this rank writes of a parameter in a view, so that all ranks together write it once. */
export function partOf(
  store: Pick<ParameterStore, 'spec' | 'range' | 'readShard'>,
  name: string,
  view: string,
  collectives: Pick<Collectives, 'rank'>,
): TensorPart {
  const read = async () => {
    const value = store.readShard(name, view);
    return (await value.data().finally(() => value.dispose())) as Values;
  };
  return { range: answeredRange(store, name, collectives), read };
}

/** The elements of a parameter that this rank answers for: its range, and of what every rank holds whole the first has all. */
export function answeredRange(
  store: Pick<ParameterStore, 'spec' | 'range'>,
  name: string,
  { rank }: Pick<Collectives, 'rank'>,
): Range {
  const range = store.range(name);
  const isWhole = range.end - range.begin === store.spec(name).shape.reduce((product, size) => product * size, 1);
  return isWhole && rank > 0 ? { begin: 0, end: 0 } : range;
}
