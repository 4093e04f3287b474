import { tmpdir } from 'node:os';
import { Collectives, Driver, Drivers, definePlugin, Model, ParameterStore, RunConfig } from 'mooring';
import { agreeOnRun } from './agree/agree-on-run.ts';
import { agreeOnValues } from './agree/agree-on-values.ts';
import { connectRanks } from './connect-ranks.ts';
import { BlockParameters } from './gather/block-parameters.ts';
import { createGatherWindows } from './gather/gather-windows.ts';
import { ResidentPolicy } from './gather/resident-policy.ts';
import { optionsSchema } from './options.ts';
import { createShardedStore, type ShardedStore } from './sharded-store.ts';
import { createFileSharing, FileSharing } from './share/file-sharing.ts';
import { splitDriver } from './split/split-driver.ts';
import { createCounters, ShardingStatistics, summaryOf } from './statistics.ts';

export { connectRanks } from './connect-ranks.ts';
export { ShardingStatistics } from './statistics.ts';

/** Splits parameters, gradients, optimizer state and references among ranks, and the rows of every batch. */
export const zero3Shard = definePlugin({
  name: 'zero3-shard',
  apiVersion: 1,
  preservesTraining: true,
  options: optionsSchema,
  uses: { model: Model, collectives: Collectives, statistics: ShardingStatistics },
  apply({ hooks, options, provide, decorate, services, log }) {
    const { stage, prefetchBucketSize } = options;
    const isWholeResident = stage < 3;
    const counters = createCounters();
    const parameters = new BlockParameters();
    const residents = new ResidentPolicy();
    const storeOptions = {
      ...options,
      counters,
      ...(isWholeResident && { maxLiveParameters: Number.POSITIVE_INFINITY }),
    };
    let store: ShardedStore | undefined;
    const windowsOf = (store: () => ShardedStore, namesOf = parameters.of) =>
      createGatherWindows({ store, namesOf, prefetchBucketSize, isReducedByBlock: stage > 1, counters });

    provide(Collectives, { uses: {}, create: () => connectRanks(options, log) });
    provide(ShardingStatistics, { uses: {}, create: () => counters });
    provide(FileSharing, {
      uses: { collectives: Collectives },
      create: ({ collectives }) => createFileSharing(collectives, log),
    });
    decorate(RunConfig, {
      uses: { sharing: FileSharing },
      async create(config, { sharing }) {
        const folder = config.output ?? tmpdir();
        const model = await sharing.find(config.model, folder);
        const data = await sharing.find(config.data, folder);
        const evalData = await sharing.find(config.evalData, folder);
        const folders = await sharing.findAll(config.folders, folder);
        return { ...config, model, data, evalData, folders };
      },
    });
    decorate(ParameterStore, {
      uses: { collectives: Collectives },
      create(inner, { collectives }) {
        store = createShardedStore(inner, collectives, storeOptions);
        return store;
      },
    });
    decorate(Driver, {
      uses: { collectives: Collectives },
      create: (inner, { collectives }) => splitDriver(parameters.noted(inner), collectives),
    });
    decorate(Drivers, {
      uses: { collectives: Collectives },
      create: (inner, { collectives }) => sharded(inner, collectives),
    });

    hooks.setup.tap(({ run }) => agreeOnRun(services.collectives, run), { before: 'metrics?' });
    hooks.trainBegin.tap(() => agreeOnValues(services.collectives, store as ShardedStore));
    windowsOf(() => store as ShardedStore).tap(hooks);
    if (isWholeResident) {
      const gather = () => residents.gather(services.model, store as ShardedStore, parameters.of);
      hooks.modelReady.tap(gather);
      hooks.trainBegin.tap(gather); // a checkpoint may have been restored, or an adapter merged
      hooks.stepEnd.tap(gather);
    }
    hooks.trainEnd.tap(() => log.info({ ...counters }, summaryOf(counters)));

    /** The drivers of other models: rows and stores are split too, and gathered by windows of their own. */
    function sharded(inner: Drivers, collectives: Collectives): Drivers {
      const splitting = (made: ReturnType<Drivers['create']>) => ({
        ...made,
        driver: splitDriver(made.driver, collectives),
      });
      return {
        create(model, asked) {
          if (isWholeResident) return splitting(inner.create(model, asked));
          const { tap, wrapStore = (store) => store, ...given } = asked;
          let own: ShardedStore | undefined;
          const windows = windowsOf(
            () => own as ShardedStore,
            ({ parameters }) => [...new Set(Object.values(parameters))],
          );
          const made = inner.create(model, {
            ...given,
            tap(hooks) {
              tap?.(hooks);
              windows.tap(hooks);
            },
            wrapStore(whole) {
              own = createShardedStore(whole, collectives, storeOptions);
              return wrapStore(own);
            },
          });
          return splitting(made);
        },
      };
    }
  },
});
