import type { Collectives } from './collectives.ts';

/**
 * Collectives over float32 numbers that are not in JavaScript's memory: each rank writes its own where they are carried, and
 * reads those of others where they arrive, so that nothing is copied in between. All lists belong to the provider: what
 * is written to one is read by others, and what was read is gone when `use` or `add` returns. Each throws RANK_FAILED.
 */
export interface DirectCollectives {
  /** What `use` makes of everyone's parts, in the order of the ranks: `write` fills this rank's, of `sizes[rank]` numbers. */
  allGather<Result>(
    sizes: readonly number[],
    of: string,
    write: (own: Float32Array) => void,
    use: (parts: readonly Float32Array[]) => Result,
  ): Promise<Result>;
  /**
   * The sum of what every rank wrote for this one: `write` fills what goes to rank `to`, `sizes[to]` numbers. `add` adds the
   * terms up in their order, which is that of the ranks; a provider that adds by itself has one term.
   */
  reduceScatter<Result>(
    sizes: readonly number[],
    of: string,
    write: (part: Float32Array, to: number) => void,
    add: (terms: readonly Float32Array[]) => Result,
  ): Promise<Result>;
}

/** The direct collectives of a provider that has them, else the same through copies. */
export function directOf(collectives: Collectives): DirectCollectives {
  return collectives.direct ?? throughCopies(collectives);
}

/** The same of any collectives, through copies. */
export function throughCopies(collectives: Collectives): DirectCollectives {
  return {
    async allGather(sizes, of, write, use) {
      const own = new Float32Array(sizes[collectives.rank] ?? 0);
      write(own);
      return use(partsOf(await collectives.allGather(own, sizes, of), sizes));
    },
    async reduceScatter(sizes, of, write, add) {
      const values = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
      for (const [to, part] of partsOf(values, sizes).entries()) write(part, to);
      return add([await collectives.reduceScatter(values, sizes, 'sum', of)]);
    },
  };
}

function partsOf(values: Float32Array, sizes: readonly number[]): Float32Array[] {
  let at = 0;
  return sizes.map((size) => {
    at += size;
    return values.subarray(at - size, at);
  });
}
