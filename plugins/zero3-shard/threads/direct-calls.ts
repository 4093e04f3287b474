import type { DirectCollectives } from 'mooring';
import { aligned, laidOut } from '../arena.ts';
import type { Calls } from './calls.ts';

/** Collectives of threads that copy nothing: ranks write into memory that all see, and read from where others wrote. */
export function directCalls(calls: Calls): DirectCollectives {
  return {
    allGather: (sizes, of, write, use) =>
      calls.make(of, {
        write: (place) => write(place(float32, 0, sizes[calls.rank] as number)),
        bytes: bytesOf(sizes[calls.rank] as number),
        awaits: (rank) => bytesOf(sizes[rank] as number),
        read: () => use(sizes.map((size, rank) => calls.view(float32, rank, 0, size))),
      }),
    reduceScatter(sizes, of, write, add) {
      // each part begins where TensorFlow can work
      const { begins, bytes } = laidOut(sizes.map((size) => aligned(bytesOf(size))));
      const [begin, own] = [begins[calls.rank] as number, sizes[calls.rank] as number];
      return calls.make(of, {
        write(place) {
          for (const [to, size] of sizes.entries()) write(place(float32, begins[to] as number, size), to);
        },
        bytes,
        awaits: () => bytes,
        read: () => add(sizes.map((_, rank) => calls.view(float32, rank, begin, own))),
      });
    },
  };
}

const float32 = new Float32Array();

function bytesOf(numbers: number): number {
  return numbers * float32.BYTES_PER_ELEMENT;
}
