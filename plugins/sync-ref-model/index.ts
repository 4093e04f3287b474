import { definePlugin, ParameterStore, Reference } from 'mooring';
import { z } from 'zod';
import { failure } from './errors.ts';
import { moveTowardPolicy } from './sync.ts';

/** Moves the reference toward the policy after every `everySteps` optimizer steps. Names and defaults are TRL's. */
export const syncRefModel = definePlugin({
  name: 'sync-ref-model',
  apiVersion: 1,
  options: z.strictObject({
    everySteps: z.int().positive().default(512),
    mixupAlpha: z.number().min(0).max(1).default(0.6),
  }),
  uses: { store: ParameterStore, reference: Reference },
  conflicts: { 'ref-cache': 'A cache keeps what the reference said once, and a moving reference says something else.' },
  apply({ hooks, options, services, log }) {
    // What was never trained is still equal in both, and mixing it would only take its memory twice.
    const trained = new Set<string>();
    hooks.trainBegin.tap(() => {
      const { kind, parameters } = services.reference;
      if (parameters === undefined) throw failure('REFERENCE_NOT_MOVABLE', { kind });
    });
    hooks.stepEnd.tap(({ step }) => {
      const { reference, store } = services;
      for (const name of store.names) if (store.isTrainable(name)) trained.add(name);
      if (step.index % options.everySteps !== 0 || reference.parameters === undefined) return;
      moveTowardPolicy(trained, reference.parameters, store, options.mixupAlpha);
      const bytesResident = reference.bytesResident();
      log.debug({ step: step.index, bytesResident }, 'the reference was moved toward the policy');
    });
  },
});
