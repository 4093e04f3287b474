import { type Collectives, type DirectCollectives, throughCopies } from 'mooring';
import { Arena, aligned, createArena, laidOut } from '../arena.ts';
import { isCountable } from './calls.ts';
import type { Transfer } from './orders.ts';

/**
 * Collectives by MPI whose numbers are written where MPI takes them and read where it puts them, in memory that is used
 * again. Each part takes whole cache lines, so that the next begins where TensorFlow can work. What is more than MPI can
 * count goes through copies.
 */
export function directTransfers(
  collectives: Collectives,
  {
    mostBytes,
    address,
    order,
  }: {
    readonly mostBytes: number;
    readonly address: (memory: Float32Array) => bigint;
    readonly order: (transfer: Transfer, of: string, memory: readonly Float32Array[]) => Promise<void>;
  },
): DirectCollectives {
  const { rank, ranks } = collectives;
  const arena = new Arena(createArena());
  const copying = throughCopies(collectives);
  let lent = 0;

  return {
    async allGather(sizes, of, write, use) {
      const takes = sizes.map(bytesOf);
      const { begins, bytes } = laidOut(takes);
      if (bytes > mostBytes) return copying.allGather(sizes, of, write, use);
      const memory = lend(bytes);
      const parts = sizes.map((size, from) => memory.at(begins[from] as number, size));
      write(parts[rank] as Float32Array);
      await order({ kind: 'gather', address: memory.address, sizes: takes }, of, [memory.whole]);
      return memory.returned(() => use(parts));
    },
    async reduceScatter(sizes, of, write, add) {
      const takes = sizes.map(bytesOf);
      const { begins, bytes } = laidOut(takes);
      const own = takes[rank] as number;
      if (!isCountable(takes, mostBytes)) return copying.reduceScatter(sizes, of, write, add);
      const memory = lend(bytes + ranks * own);
      for (const [to, size] of sizes.entries()) write(memory.at(begins[to] as number, size), to);
      const [send, receive] = [memory.address, memory.address + BigInt(bytes)];
      await order({ kind: 'exchange', send, receive, sizes: takes }, of, [memory.whole]);
      return memory.returned(() => add(sizes.map((_, from) => memory.at(bytes + from * own, sizes[rank] as number))));
    },
  };

  /** Memory, of its own where the arena is full, until `returned` has used it; for ever where MPI failed, and may still write. */
  function lend(bytes: number) {
    const id = lent++;
    const room = arena.take(id, bytes);
    const [memory, offset] = room === undefined ? [new SharedArrayBuffer(bytes), 0] : [arena.memory, room];
    const whole = new Float32Array(memory, offset, bytes / 4);
    return {
      whole,
      address: address(whole),
      at: (begin: number, length: number) => new Float32Array(memory, offset + begin, length),
      returned<Result>(use: () => Result): Result {
        try {
          return use();
        } finally {
          arena.free(id);
        }
      },
    };
  }
}

function bytesOf(numbers: number): number {
  return aligned(numbers * Float32Array.BYTES_PER_ELEMENT);
}
