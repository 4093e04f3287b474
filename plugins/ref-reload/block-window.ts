import type { Block, ParameterStore, StoredWeights, TapFace } from 'mooring';

/** Keeps the parameters of one block at a time: read before it runs, let go after. */
export interface BlockWindow {
  tap(hooks: TapFace): void;
  /** Resolves when nothing is being read. */
  settled(): Promise<void>;
}

/**
 * While a block runs, the bytes of the next are brought into the system's cache, not into this process: so there is one
 * block here at any time, and reading the next waits for no disk.
 */
export function createBlockWindow(
  services: () => { readonly store: ParameterStore; readonly weights: StoredWeights },
): BlockWindow {
  const loaded: string[] = [];
  let prefetching: Promise<void> = Promise.resolve();
  return {
    tap(hooks) {
      hooks.beforeForward.tap(async ({ block, next }) => {
        const { store, weights } = services();
        await prefetching;
        for await (const [name, value] of weights.read(namesOf(block), store.range)) {
          store.loadShard(name, value);
          loaded.push(name);
        }
        // what is wrong with a file is told by the read that follows
        if (next !== undefined) prefetching = weights.prefetch(namesOf(next), store.range).catch(() => undefined);
      });
      hooks.afterForward.tap(() => {
        for (const name of loaded.splice(0)) services().store.unload(name);
      });
    },
    settled: () => prefetching,
  };
}

function namesOf({ parameters }: Block): string[] {
  return [...new Set(Object.values(parameters))];
}
