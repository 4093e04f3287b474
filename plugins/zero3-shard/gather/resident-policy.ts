import type { Block, Model } from 'mooring';
import type { ShardedStore } from '../sharded-store.ts';
import type { Lease } from './live-parameters.ts';

/**
 * Keeps the whole policy on every rank, as stages 1 and 2 do: gathered again, block by block, when an optimizer step has
 * changed it.
 */
export class ResidentPolicy {
  private leases: Lease[] = [];

  async gather(model: Model, store: ShardedStore, namesOf: (block: Block) => readonly string[]): Promise<void> {
    const before = this.leases;
    this.leases = [];
    for (const block of model.blocks) {
      const lease = store.live.hold(namesOf(block), 'policy');
      this.leases.push(lease);
      await lease.ready;
    }
    for (const lease of before) lease.release();
  }
}
