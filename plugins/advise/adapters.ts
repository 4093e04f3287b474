import type { Shapes } from './shapes.ts';
import { type Sharding, sharesOf } from './sharding.ts';

/** Numbers of adapters of rank `r` on all linears of the layers: `r * (inputs + outputs)` each. */
export function adapterNumbers(shapes: Shapes, r: number): number {
  return matrices(shapes, r).reduce((sum, numbers) => sum + numbers, 0);
}

/** The most of them that a rank holds. */
export function adapterShare(shapes: Shapes, r: number, sharding: Sharding): number {
  return sharesOf(matrices(shapes, r), sharding);
}

function matrices({ blocks }: Shapes, r: number): number[] {
  const linears = blocks.filter(({ kind }) => kind === 'layer').flatMap(({ modules }) => modules);
  return linears.flatMap(({ inputs, outputs }) => [r * inputs, r * outputs]);
}
