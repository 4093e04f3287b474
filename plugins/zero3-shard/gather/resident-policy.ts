import type { Block, Model } from 'mooring';
import type { ShardedStore } from '../sharded-store.ts';
import type { Lease } from './live-parameters.ts';

/**
 * Keeps the whole policy on every rank, as stages 1 and 2 do: gathered again, block by block, when an optimizer step has
 * changed it. What a block was goes as soon as what it is has come, so that the policy is never there twice.
 */
export class ResidentPolicy {
  private readonly leases = new Map<string, Lease>();

  async gather(model: Model, store: ShardedStore, namesOf: (block: Block) => readonly string[]): Promise<void> {
    for (const block of model.blocks) {
      const lease = store.live.hold(namesOf(block), 'policy');
      await lease.ready;
      this.leases.get(block.name)?.release();
      this.leases.set(block.name, lease);
    }
  }
}
