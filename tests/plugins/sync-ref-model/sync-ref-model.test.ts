import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { definePlugin, ParameterStore, Reference } from 'mooring';
import { peftLora } from 'mooring/plugins/peft-lora';
import { toyRun } from 'mooring/testing';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';
import { failureOf } from '../../core/support.ts';

interface Seen {
  readonly policy: number[];
  readonly reference: number[];
  readonly bytes: number;
}

/** Values of the embedding in both views, before the first step and after each. */
async function run(...options: Parameters<typeof syncRefModel>): Promise<Seen[]> {
  const seen: Seen[] = [];
  const look = definePlugin({
    name: 'look',
    apiVersion: 1,
    uses: { store: ParameterStore, reference: Reference },
    apply({ hooks, services }) {
      const note = () => {
        const [policy, reference] = ['policy', 'reference'].map((view) => {
          const value = services.store.read('embedding.weight', view);
          const values = Array.from(value.dataSync());
          value.dispose();
          return values;
        }) as [number[], number[]];
        seen.push({ policy, reference, bytes: services.reference.bytesResident() });
      };
      hooks.modelReady.tap(() => services.store.setTrainable('head.bias', false));
      hooks.trainBegin.tap(note);
      hooks.stepEnd.tap(note, { after: ['sync-ref-model'] });
    },
  });
  await toyRun([refClone(), syncRefModel(...options), look()]).trainer.train();
  return seen;
}

const at = (seen: Seen[], step: number) => seen[step] as Seen;

describe('synchronizing the reference', () => {
  it('mixes it with the policy every so many steps', async () => {
    const seen = await run({ everySteps: 2, mixupAlpha: 0.6 });
    expect(at(seen, 1).reference).toEqual(at(seen, 0).reference);
    for (const [step, before] of [
      [2, 1],
      [4, 3],
    ] as const) {
      const expected = at(seen, before).reference.map(
        (value, i) => 0.4 * value + 0.6 * (at(seen, step).policy[i] as number),
      );
      expect(at(seen, step).reference).toEqual(expected.map((value) => expect.closeTo(value, 6)));
    }
    expect(at(seen, 3).reference).toEqual(at(seen, 2).reference);
    // only the two trained matrices of 8 x 4 have values of their own
    expect(at(seen, 4).bytes).toBe(2 * 8 * 4 * 4);
  });

  it('copies the policy at mixupAlpha 1 by sharing its buffers again', async () => {
    const seen = await run({ everySteps: 3, mixupAlpha: 1 });
    expect(at(seen, 2).bytes).toBe(2 * 8 * 4 * 4);
    expect(at(seen, 3).reference).toEqual(at(seen, 3).policy);
    expect(at(seen, 3).bytes).toBe(0);
    expect(at(seen, 4).reference).toEqual(at(seen, 3).reference);
    expect(at(seen, 4).bytes).toBe(2 * 8 * 4 * 4);
  });

  it('does nothing before its time', async () => {
    const seen = await run();
    expect(at(seen, 4).reference).toEqual(at(seen, 0).reference);
  });

  it('moves only what the reference has of its own', async () => {
    const written: string[] = [];
    const part = definePlugin({
      name: 'part',
      apiVersion: 1,
      uses: { store: ParameterStore },
      apply({ hooks, decorate, services }) {
        hooks.modelReady.tap(() => services.store.setTrainable('head.bias', false));
        decorate(Reference, {
          uses: {},
          create: ({ parameters, ...rest }) => ({
            ...rest,
            parameters: {
              names: ['head.weight', 'head.bias'],
              read: (name) => parameters?.read(name) as ReturnType<NonNullable<typeof parameters>['read']>,
              write(name, value) {
                written.push(name);
                parameters?.write(name, value);
              },
            },
          }),
        });
      },
    });
    for (const options of [{}, { mixupAlpha: 1 }, { bema: {} }]) {
      written.length = 0;
      await toyRun([refClone(), part(), syncRefModel({ everySteps: 2, ...options })]).trainer.train();
      expect(written).toEqual(['head.weight', 'head.weight']);
    }
  });

  it.each([
    ['copied', { mixupAlpha: 1 }],
    ['mixed', { mixupAlpha: 0.6 }],
    ['averaged', { bema: { everySteps: 1 } }],
  ])('moves the snapshot of an adapter and leaves its base alone: %s', async (how, options) => {
    const distances: number[] = [];
    const bases: string[] = [];
    const look = definePlugin({
      name: 'look',
      apiVersion: 1,
      uses: { store: ParameterStore, reference: Reference },
      apply({ hooks, services }) {
        const see = async () => {
          const { store, reference } = services;
          const names = reference.parameters?.names ?? [];
          expect(names).toEqual(store.names.filter((name) => store.isTrainable(name)));
          const distance = tf.tidy(() =>
            names.map((name) => {
              const [own, policy] = [reference.parameters?.read(name) as tf.Tensor, store.read(name, 'policy')];
              return tf.max(tf.abs(tf.sub(own, policy))).dataSync()[0] as number;
            }),
          );
          distances.push(Math.max(...distance));
          bases.push(await store.fingerprint('reference', ['embedding.weight', 'head.weight', 'head.bias']));
        };
        hooks.stepEnd.tap(see, { after: ['sync-ref-model'] });
      },
    });
    const lora = peftLora({ r: 2, targetModules: ['tokens'], reference: 'adapter-snapshot' });
    await toyRun([lora, syncRefModel({ everySteps: 2, ...options }), look()], { steps: 3 }).trainer.train();
    const [before, moved, after] = distances as [number, number, number];
    expect(before).toBeGreaterThan(0);
    expect(moved === 0).toBe(how === 'copied');
    expect(moved).toBeLessThan(2 * before);
    expect(after).toBeGreaterThan(moved);
    expect(new Set(bases).size).toBe(1);
  });

  it.each([
    ['cached', 'it is what a reference said once'],
    ['adapters-off', 'it is the base that the policy shares, which is frozen'],
    ['reload', 'it is a model of its own, read from its folder'],
    ['of-mine', 'it has no parameters of its own'],
  ])('refuses a reference of the kind %s, which cannot be moved, and says why', async (kind, because) => {
    const fixed = definePlugin({
      name: 'fixed',
      apiVersion: 1,
      apply({ provide }) {
        const nothing = { fingerprint: async () => '', bytesResident: () => 0, score: async () => ({}) };
        provide(Reference, { uses: {}, create: () => ({ kind, ...nothing }) });
      },
    });
    const { code, message } = await failureOf(() => toyRun([fixed(), syncRefModel()]).trainer.train());
    expect(code).toBe('REFERENCE_NOT_MOVABLE');
    expect(message).toContain(`of the kind ${kind}, which cannot be moved: ${because}.`);
  });
});
