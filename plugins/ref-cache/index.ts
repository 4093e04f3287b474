import path from 'node:path';
import {
  Collectives,
  DataSource,
  Driver,
  definePlugin,
  Model,
  onFirst,
  ParameterStore,
  Reference,
  type Run,
  RunConfig,
} from 'mooring';
import { z } from 'zod';
import { CacheFolder } from './cache-folder.ts';
import { type CachedReference, createCachedReference } from './cached-reference.ts';
import { failure } from './errors.ts';
import { digestOf, settleIdentity } from './identity.ts';
import { scoreAhead } from './score-ahead.ts';
import { createStartingPolicy, type StartingPolicy } from './starting-policy.ts';

/**
 * Keeps on disk what the reference says of each sequence, so that it says it once. Without another reference it is the
 * policy that training starts from.
 */
export const refCache = definePlugin({
  name: 'ref-cache',
  apiVersion: 1,
  options: z.strictObject({
    directory: z.string().min(1).optional(),
    compute: z.enum(['ahead', 'as-they-come']).default('ahead'),
  }),
  uses: { driver: Driver, reference: Reference },
  apply({ hooks, provide, decorate, options, services, log }) {
    let starting: StartingPolicy | undefined;
    let cached: CachedReference | undefined;
    let folder: CacheFolder | undefined;

    provide(Reference, {
      isFallback: true,
      uses: { store: ParameterStore, driver: Driver },
      create({ store, driver }) {
        starting = createStartingPolicy(store, driver);
        return starting;
      },
    });
    decorate(Reference, {
      uses: { config: RunConfig, model: Model, data: DataSource, collectives: Collectives },
      create(inner, { config, model, data, collectives }) {
        const directory = directoryOf(options.directory, config);
        cached = createCachedReference(inner, collectives, async () => {
          const fingerprint = await inner.fingerprint();
          const identity = {
            reference: inner.kind,
            storage: inner.storage ?? 'float32',
            model: model.description,
            computation: model.computation ?? model.description,
            ...((await inner.fingerprints?.()) ?? { weights: fingerprint }),
            ...(data.identity ?? { data: data.fingerprint }),
          };
          const digest = digestOf(identity);
          await onFirst(collectives, 'the cache of the reference', async () => {
            await settleIdentity(directory, identity);
            folder = new CacheFolder(directory);
            const { size, droppedBytes } = folder;
            log.info({ directory, size, droppedBytes }, `ref-cache: ${size} sequences are known in ${directory}`);
            if (droppedBytes > 0)
              log.warn(
                { directory, droppedBytes },
                `ref-cache: ${droppedBytes} bytes are of no whole record: not used`,
              );
          });
          return { folder, digest, fingerprint };
        });
        return cached;
      },
    });

    hooks.refInit.tap(() => starting?.begin());
    let ahead: Run | undefined;
    hooks.trainBegin.tap(async ({ run }) => {
      await services.reference.fingerprint(); // a stale cache ends the run here
      if (options.compute === 'ahead') ahead = run;
    });
    hooks.stepBegin.tap(async () => {
      cached?.startKeeping();
      if (ahead === undefined || cached === undefined) return;
      await scoreAhead(ahead, cached, services.driver, log);
      ahead = undefined;
    });
    hooks.teardown.tap(() => folder?.close());
  },
});

/** Throws REF_CACHE_NO_DIRECTORY. */
function directoryOf(directory: string | undefined, { folder, output }: RunConfig): string {
  if (directory !== undefined) return path.resolve(folder, directory);
  if (output !== undefined) return path.join(output, 'reference-cache');
  throw failure('REF_CACHE_NO_DIRECTORY', {});
}
