import type { Collectives, Payload, Range, Reduction } from '../collectives/collectives.ts';
import { causeOf, rankFailed } from '../collectives/errors.ts';
import { joined } from '../collectives/payload.ts';
import { reduce } from '../collectives/reduce.ts';
import { definePlugin, type Plugin } from '../plugin.ts';
import * as Tokens from '../tokens.ts';

/**
 * Runs `body` once for each rank, all in this thread, taking turns where they wait for each other: what N ranks do,
 * without workers or processes. A rank that throws aborts the others. Gives what each returned; throws what the first
 * that failed threw.
 *
 *     const records = await inRanks(2, async (collectives) => {
 *       const { trainer } = toyRun([zero3Shard(), givenRanks(collectives, 'zero3-shard')]);
 *       return (await trainer.train()).record;
 *     });
 */
export async function inRanks<Result>(
  ranks: number,
  body: (collectives: Collectives) => Promise<Result>,
): Promise<Result[]> {
  const meeting = new Meeting(ranks);
  let first: { readonly error: unknown } | undefined;
  const running = Array.from({ length: ranks }, (_, rank) => {
    const collectives = meeting.join(rank);
    return body(collectives).catch((error) => {
      first ??= { error };
      collectives.abort(causeOf(error));
      throw error;
    });
  });
  const ended = await Promise.allSettled(running);
  if (first !== undefined) throw first.error;
  return ended.map((each) => (each as PromiseFulfilledResult<Result>).value);
}

/** A plugin that gives a run its collectives, in place of those that the plugin `replaces` brings. */
export function givenRanks(collectives: Collectives, replaces?: string): Plugin {
  return definePlugin({
    name: 'given-ranks',
    apiVersion: 1,
    preservesTraining: true,
    apply: ({ provide }) =>
      provide(Tokens.Collectives, {
        uses: {},
        create: () => collectives,
        ...(replaces === undefined ? {} : { replaces }),
      }),
  })();
}

/** Where the calls of all ranks meet: the first of each with the first of the others, and so on. */
class Meeting {
  /** What not all ranks have come to yet: what they had all given would stay for as long as the run. */
  private readonly calls = new Map<number, Call>();
  private failed: { readonly rank: number; readonly cause: string } | undefined;
  private readonly ranks: number;

  constructor(ranks: number) {
    this.ranks = ranks;
  }

  join(rank: number): Collectives {
    const { ranks } = this;
    let calls = 0;
    const meet = async <Data extends Payload>(own: Data, of: string) => {
      const at = calls++;
      return (await this.meet(at, rank, own.slice(), of)) as Data[];
    };
    const part = (sizes: readonly number[]): Range => {
      const begin = sizes.slice(0, rank).reduce((sum, size) => sum + size, 0);
      return { begin, end: begin + (sizes[rank] ?? 0) };
    };
    return {
      rank,
      ranks,
      transport: 'one thread',
      allGather: async (own, _, of) => joined(await meet(own, of)),
      async reduceScatter(values, sizes, reduction, of) {
        const { begin, end } = part(sizes);
        const all = await meet(values, of);
        return reduce(
          all.map((each) => each.slice(begin, end) as typeof values),
          reduction,
        );
      },
      allReduce: async (values, reduction: Reduction, of) => reduce(await meet(values, of), reduction),
      broadcast: async (values, root, of) => (await meet(values, of))[root]?.slice() as typeof values,
      barrier: async (of) => void (await meet(new Uint8Array(), of)),
      abort: (cause) => this.abort(rank, cause),
    };
  }

  private async meet(at: number, rank: number, own: Payload, of: string): Promise<Payload[]> {
    if (this.failed !== undefined) throw this.failure(of);
    const call = this.calls.get(at) ?? new Call(this.ranks, of);
    this.calls.set(at, call);
    if (call.of !== of) {
      const cause = `it asked for "${of}" where another rank asked for "${call.of}"`;
      this.abort(rank, cause);
      throw this.failure(of);
    }
    if (call.add(rank, own)) this.calls.delete(at);
    return call.all;
  }

  private abort(rank: number, cause: string): void {
    this.failed ??= { rank, cause };
    for (const call of this.calls.values()) call.fail(this.failure(call.of));
  }

  private failure(of: string) {
    return rankFailed(this.failed?.rank ?? 0, this.failed?.cause ?? '', of);
  }
}

/** One collective: complete when every rank has called it. */
class Call {
  readonly of: string;
  readonly all: Promise<Payload[]>;
  private readonly given: Payload[] = [];
  private missing: number;
  private resolve: (all: Payload[]) => void = () => undefined;
  private reject: (error: Error) => void = () => undefined;

  constructor(ranks: number, of: string) {
    this.of = of;
    this.missing = ranks;
    this.all = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.all.catch(() => undefined); // thrown where it is awaited
  }

  /** Whether it is complete now. */
  add(rank: number, own: Payload): boolean {
    this.given[rank] = own;
    if (--this.missing === 0) this.resolve(this.given);
    return this.missing === 0;
  }

  fail(error: Error): void {
    this.reject(error);
  }
}
