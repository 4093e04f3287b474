import type { Block, BlockVisit, TapFace } from 'mooring';
import { elementsOf } from '../partition.ts';
import type { ShardedStore } from '../sharded-store.ts';
import type { Counters } from '../statistics.ts';
import type { Lease } from './live-parameters.ts';

/** Keeps the parameters of a block whole while a pass visits it. */
export interface GatherWindows {
  tap(hooks: Pick<TapFace, 'beforeForward' | 'afterForward' | 'beforeBackward' | 'afterBackward'>): void;
}

/**
 * Gathers a block's parameters before it runs, and lets go of them after. Meanwhile those of the next block, up to
 * `prefetchBucketSize` elements, are on their way.
 */
export function createGatherWindows(options: {
  readonly store: () => ShardedStore;
  readonly namesOf: (block: Block) => readonly string[];
  readonly prefetchBucketSize: number;
  /** Whether gradients are added over the ranks after each block, not at the end of the step. */
  readonly isReducedByBlock: boolean;
  readonly counters: Counters;
}): GatherWindows {
  const { store, namesOf, prefetchBucketSize, isReducedByBlock, counters } = options;
  const open: Lease[] = [];
  let coming: Lease | undefined;
  let reducing: Promise<void> | undefined;

  return {
    tap(hooks) {
      hooks.beforeForward.tap(enter);
      hooks.afterForward.tap(leave);
      hooks.beforeBackward.tap(enter);
      hooks.afterBackward.tap(async () => {
        leave();
        if (!isReducedByBlock) return;
        // the next block computes meanwhile; the gradients of two blocks are there at most
        const before = reducing;
        reducing = store().gradients.reduce();
        reducing.catch(() => undefined); // thrown where it is awaited
        await before;
      });
    },
  };

  async function enter({ block, pass, next }: BlockVisit): Promise<void> {
    const { live } = store();
    const lease = live.hold(namesOf(block), pass.view);
    open.push(lease);
    coming?.release();
    coming = undefined;
    const started = performance.now();
    await lease.ready;
    counters.millisecondsWaited += performance.now() - started;
    if (next !== undefined) coming = live.hold(ahead(namesOf(next)), pass.view);
  }

  function leave(): void {
    open.pop()?.release();
  }

  /** The first of these that fit, of those that are there: others come from disk when their block runs. */
  function ahead(names: readonly string[]): string[] {
    let room = prefetchBucketSize;
    return names.filter(store().isLoaded).filter((name) => {
      room -= elementsOf(store().spec(name));
      return room >= 0;
    });
  }
}
