import * as tf from '@tensorflow/tfjs';
import { definePlugin, type MovableParameters, ParameterStore, Reference, readPart } from 'mooring';
import { z } from 'zod';
import { BiasCorrectedAverage } from './bema.ts';
import { failure, whyFixed } from './errors.ts';
import { syncSchema } from './options.ts';
import { moveTowardPolicy } from './sync.ts';

const savedSchema = z.object({ trained: z.array(z.string()) });

/** Moves the reference after every `everySteps` optimizer steps: toward the policy, or to its bias-corrected average. */
export const syncRefModel = definePlugin({
  name: 'sync-ref-model',
  apiVersion: 1,
  options: syncSchema,
  uses: { store: ParameterStore, reference: Reference },
  conflicts: { 'ref-cache': 'A cache keeps what the reference said once, and a moving reference says something else.' },
  apply({ hooks, options: { everySteps, mixupAlpha, bema }, services, log }) {
    // What was never trained is still equal in both, and mixing it would only take its memory twice.
    const trained = new Set<string>();
    const average = bema && new BiasCorrectedAverage(bema);
    const readPolicy = (name: string) => services.store.readShard(name, 'policy');
    const noteTrained = () => {
      const { store } = services;
      for (const name of store.names) if (store.isTrainable(name)) trained.add(name);
    };

    hooks.checkpointSave.tap(() => {
      const tensors = Object.fromEntries(average?.save() ?? []);
      const layout = average?.layout;
      return { 'sync-ref-model': { version: 1, json: { trained: [...trained] }, tensors, ...(layout && { layout }) } };
    });
    hooks.checkpointLoad.tap(({ parts }) => {
      const part = readPart(parts, 'sync-ref-model', 1, savedSchema);
      for (const name of part?.json.trained ?? []) trained.add(name);
      average?.load(Object.entries(part?.tensors ?? {}).map(([name, value]) => [name, tf.clone(value)] as const));
    });
    hooks.trainBegin.tap(() => {
      const parameters = movable(services.reference);
      noteTrained();
      average?.begin(namesIn(parameters, trained), readPolicy);
    });
    hooks.stepEnd.tap(({ step: { index } }) => {
      const { reference, store } = services;
      const parameters = movable(reference);
      noteTrained();
      average?.step(index, readPolicy);
      const since = index - (bema?.refModelUpdateAfter ?? 0);
      if (since < 0 || since % everySteps !== 0) return;
      if (average === undefined) moveTowardPolicy(namesIn(parameters, trained), parameters, store, mixupAlpha);
      else for (const name of average.names) parameters.write(name, average.read(name));
      const bytesResident = reference.bytesResident();
      log.debug({ step: index, bytesResident }, 'the reference was moved toward the policy');
    });
    hooks.teardown.tap(() => average?.dispose());
  },
});

/** Throws REFERENCE_NOT_MOVABLE. */
function movable({ kind, parameters }: Reference): MovableParameters {
  if (parameters !== undefined) return parameters;
  throw failure('REFERENCE_NOT_MOVABLE', { kind, because: whyFixed[kind] ?? 'it has no parameters of its own' });
}

/** Names that the reference has too. */
function namesIn({ names }: MovableParameters, trained: ReadonlySet<string>): string[] {
  return names.filter((name) => trained.has(name));
}
