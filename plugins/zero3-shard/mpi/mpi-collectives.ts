import {
  type Collectives,
  type DirectCollectives,
  newLike,
  type Payload,
  type Reduction,
  rangeOf,
  reduce,
} from 'mooring';
import { piecesOf } from './calls.ts';
import { directTransfers } from './direct-transfers.ts';
import type { Order, Transfer } from './orders.ts';

/** What the collectives of a process need: the thread that carries them out takes orders and knows memory by its address. */
export interface MpiCollectivesParts {
  readonly rank: number;
  readonly ranks: number;
  readonly mostBytes: number;
  readonly post: (order: Order) => void;
  readonly address: (memory: Payload) => bigint;
}

interface Waiting {
  /** What MPI reads and writes: kept, so that it stays in memory. */
  readonly memory: readonly Payload[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Collectives by MPI. It only moves bytes; reductions are computed here, in the order of the ranks, since MPI promises no
 * order and so not the same bits as other providers.
 */
export class MpiCollectives implements Collectives {
  readonly rank: number;
  readonly ranks: number;
  readonly transport = 'mpi';
  readonly direct: DirectCollectives;
  /** Told whether a collective is waited for. */
  keepAlive: (isWaiting: boolean) => void = () => undefined;
  private readonly parts: MpiCollectivesParts;
  private readonly waiting = new Map<number, Waiting>();
  private readonly abandoned: (readonly Payload[])[] = [];
  private orders = 0;
  private broken: Error | undefined;
  private lastFollowing: Promise<unknown> = Promise.resolve();

  constructor(parts: MpiCollectivesParts) {
    this.parts = parts;
    this.rank = parts.rank;
    this.ranks = parts.ranks;
    const { mostBytes } = parts;
    this.direct = directTransfers(this, {
      mostBytes,
      address: (memory) => this.at(memory),
      order: (transfer, of, memory) => this.order(transfer, of, 0, memory),
    });
  }

  readonly allGather = <Data extends Payload>(own: Data, sizes: readonly number[], of: string): Promise<Data> =>
    this.gather(own, sizes, of, 0);

  readonly reduceScatter = async <Data extends Float32Array | Uint16Array>(
    values: Data,
    sizes: readonly number[],
    reduction: Reduction,
    of: string,
  ): Promise<Data> => {
    const { rank, ranks } = this;
    const bytes = sizes.map((size) => size * values.BYTES_PER_ELEMENT);
    const part = newLike(values, sizes[rank] ?? 0);
    const received = newLike(values, part.length * ranks);
    const transfer = { kind: 'exchange', send: this.at(values), receive: this.at(received), sizes: bytes } as const;
    await this.order(transfer, of, 0, [values, received]);
    for (const { begin, bytes: length, at } of piecesOf(bytes, rank, this.parts.mostBytes)) {
      const [first, count, from] = [begin, length, at].map((each) => each / values.BYTES_PER_ELEMENT) as Triple;
      const everyones = Array.from({ length: ranks }, (_, each) => {
        return received.subarray(from + each * count, from + (each + 1) * count) as Data;
      });
      reduce(everyones, reduction, part.subarray(first, first + count) as Data);
    }
    return part;
  };

  readonly allReduce = async <Data extends Float32Array | Uint16Array>(
    values: Data,
    reduction: Reduction,
    of: string,
  ): Promise<Data> => {
    const { ranks } = this;
    if (values.byteLength <= fewBytes) {
      const length = values.length;
      const all = await this.allGather(
        values,
        Array.from({ length: ranks }, () => length),
        of,
      );
      const everyones = Array.from({ length: ranks }, (_, each) => {
        return all.subarray(each * length, (each + 1) * length) as Data;
      });
      return reduce(everyones, reduction);
    }
    const sizes = Array.from({ length: ranks }, (_, each) => {
      const { begin, end } = rangeOf(values.length, each, ranks);
      return end - begin;
    });
    // what follows an earlier collective starts in the order of those, on all ranks, whichever is done first
    const before = this.lastFollowing;
    const part = this.reduceScatter(values, sizes, reduction, of);
    const following = Promise.allSettled([before, part]).then(async () => {
      const gathered = this.gather(await part, sizes, of, 1);
      return { gathered };
    });
    this.lastFollowing = following.catch(() => undefined);
    return (await following).gathered;
  };

  readonly broadcast = async <Data extends Payload>(values: Data, root: number, of: string): Promise<Data> => {
    const whole = values.slice() as Data;
    const transfer = { kind: 'broadcast', address: this.at(whole), bytes: whole.byteLength, root } as const;
    await this.order(transfer, of, 0, [whole]);
    return whole;
  };

  readonly barrier = (of: string): Promise<void> => this.order({ kind: 'barrier' }, of, 0, []);

  readonly abort = (cause: string): void => this.parts.post({ kind: 'abort', cause });

  /** A collective is done, or failed. */
  settle(id: number, error?: Error): void {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.keepAlive(false);
    if (error !== undefined) this.abandoned.push(waiting.memory); // MPI may still write there
    if (error === undefined) waiting.resolve();
    else waiting.reject(error);
  }

  /** No collective can be carried out any more. */
  breakAll(error: Error): void {
    this.broken = error;
    for (const id of [...this.waiting.keys()]) this.settle(id, error);
  }

  private async gather<Data extends Payload>(
    own: Data,
    sizes: readonly number[],
    of: string,
    channel: 0 | 1,
  ): Promise<Data> {
    const before = (rank: number) => sizes.slice(0, rank).reduce((sum, size) => sum + size, 0);
    const whole = newLike(own, before(sizes.length));
    whole.set(own, before(this.rank));
    const bytes = sizes.map((size) => size * own.BYTES_PER_ELEMENT);
    await this.order({ kind: 'gather', address: this.at(whole), sizes: bytes }, of, channel, [whole]);
    return whole;
  }

  private order(transfer: Transfer, of: string, channel: 0 | 1, memory: readonly Payload[]): Promise<void> {
    if (this.broken !== undefined) return Promise.reject(this.broken);
    const id = this.orders++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { memory, resolve, reject });
      this.keepAlive(true);
      this.parts.post({ kind: 'collective', id, of, transfer, channel });
    });
  }

  private at(memory: Payload): bigint {
    return memory.byteLength === 0 ? 0n : this.parts.address(memory);
  }
}

/** Up to here one round trip with everybody's values costs less than two with parts of them. */
const fewBytes = 16 * 1024;

type Triple = [number, number, number];
