import type { Collectives } from 'mooring';

/** What every rank says, by rank. Throws RANK_FAILED. */
export async function gatherTexts(collectives: Collectives, own: string, of: string): Promise<string[]> {
  const bytes = new TextEncoder().encode(own);
  const ones = Array.from({ length: collectives.ranks }, () => 1);
  const sizes = [...(await collectives.allGather(Float32Array.of(bytes.length), ones, `how long ${of} is`))];
  const all = await collectives.allGather(bytes, sizes, of);
  const begins = sizes.map((_, rank) => sizes.slice(0, rank).reduce((sum, size) => sum + size, 0));
  return sizes.map((size, rank) => {
    const begin = begins[rank] as number;
    return new TextDecoder().decode(all.slice(begin, begin + size)); // a decoder reads no shared memory
  });
}
