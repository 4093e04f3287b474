import type { Random } from 'mooring';

/** The numbers below `count` in an order drawn for the epoch (Fisher and Yates), or in their own if nothing draws. */
export function permutation(count: number, epoch: number, random: Random | undefined): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  if (random === undefined) return order;
  const stream = random.stream('shuffle', epoch);
  for (let last = count - 1; last > 0; last--) {
    const other = stream.integer(last + 1);
    const moved = order[last] as number;
    order[last] = order[other] as number;
    order[other] = moved;
  }
  return order;
}
