/** What the compiler refuses of services and options: `npm run types` fails where an error expected here does not come. */
import { Clock, definePlugin, optional, Reference } from 'mooring';
import { dpo } from 'mooring/plugins/dpo';

export const services = definePlugin({
  name: 'services',
  apiVersion: 1,
  uses: { clock: Clock, reference: optional(Reference) },
  apply({ hooks, services: found }) {
    hooks.stepEnd.tap(() => {
      const now: number = found.clock.now();
      const kind: string | undefined = found.reference?.kind;
      // @ts-expect-error: an optional service may be absent
      const certain: string = found.reference.kind;
      // @ts-expect-error: a service that is not declared
      return void [now, kind, certain, found.model];
    });
  },
});

dpo();
dpo({ beta: 0.1 });
// @ts-expect-error: the option is beta
dpo({ betta: 0.1 });
// @ts-expect-error: no such loss
dpo({ lossType: ['sigmoidal'] });
