/** What the compiler knows of plugins: options, services and providers. */
import { Clock, createTrainer, definePlugin, Log, optional, ParameterStore, Reference, Schedule, token } from 'mooring';
import { dpo } from 'mooring/plugins/dpo';
import { z } from 'zod';

const watcher = definePlugin({
  name: 'watcher',
  apiVersion: 1,
  options: z.strictObject({ above: z.number(), everySteps: z.int().default(1) }),
  uses: { clock: Clock, reference: optional(Reference) },
  apply({ hooks, options, services }) {
    hooks.stepEnd.tap(async () => {
      const figures: number[] = [options.above, options.everySteps, services.clock.now()];
      const kind: string | undefined = services.reference?.kind;
      // @ts-expect-error: an optional service may be absent
      const certain: string = services.reference.kind;
      // @ts-expect-error: a service that is not in `uses`
      const store = services.store;
      // @ts-expect-error: an option that the schema does not have
      const below = options.below;
      void [figures, kind, certain, store, below];
    });
  },
});

export const plugins = [
  watcher({ above: 1 }),
  watcher({ above: 1, everySteps: 2 }),
  dpo(),
  // @ts-expect-error: an unknown option
  watcher({ above: 1, everyStep: 2 }),
  // @ts-expect-error: an option of another type
  watcher({ above: 'much' }),
  // @ts-expect-error: an option is missing
  watcher({}),
  // @ts-expect-error: options are missing altogether
  watcher(),
  // @ts-expect-error: an unknown option of a plugin of ours
  dpo({ betta: 0.1 }),
];

// a factory passes for a plugin, having an `apply` as every function does: `use` refuses it when it runs
createTrainer({ model: 'alpha', data: 'pairs.jsonl' }).use(watcher({ above: 1 }));
// @ts-expect-error: an unknown key of the run
createTrainer({ model: 'alpha', dta: 'pairs.jsonl' });
// @ts-expect-error: an unknown train setting
createTrainer({ model: 'alpha', train: { stepz: 3 } });
// @ts-expect-error: a string is no plugin
createTrainer({ model: 'alpha' }).use('dpo');

const Alpha = token<{ readonly name: string }>('Alpha', 'alpha-plugin');

export const providers = definePlugin({
  name: 'providers',
  apiVersion: 1,
  apply({ provide, decorate }) {
    provide(Alpha, { uses: { log: Log }, create: ({ log }) => ({ name: typeof log.info }) });
    decorate(Schedule, { uses: {}, create: (inner) => ({ learningRate: (...at) => inner.learningRate(...at) / 2 }) });
    // @ts-expect-error: a service that is not what the token promises
    provide(Alpha, { uses: {}, create: () => ({ name: 1 }) });
    provide(Alpha, {
      uses: { store: ParameterStore },
      // @ts-expect-error: create gets what `uses` names
      create: ({ clock }) => ({ name: String(clock) }),
    });
  },
});

// @ts-expect-error: a plugin says which API it was written for
export const withoutVersion = definePlugin({ name: 'bravo', apply: () => undefined });
