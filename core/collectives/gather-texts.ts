import type { Collectives } from './collectives.ts';

/** What every rank says, by rank. Throws RANK_FAILED. */
export async function gatherTexts(collectives: Collectives, own: string, of: string): Promise<string[]> {
  const bytes = new TextEncoder().encode(own);
  const ones = Array.from({ length: collectives.ranks }, () => 1);
  const sizes = [...(await collectives.allGather(Float32Array.of(bytes.length), ones, `the length of ${of}`))];
  if (sizes.every((size) => size === 0)) return sizes.map(() => '');
  const all = await collectives.allGather(bytes, sizes, of);
  let end = 0;
  return sizes.map((size) => {
    end += size;
    return new TextDecoder().decode(all.slice(end - size, end)); // a copy: a decoder refuses shared memory
  });
}
