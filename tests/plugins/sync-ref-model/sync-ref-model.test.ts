import { describe, expect, it } from '@jest/globals';
import { definePlugin, MooringError, ParameterStore, Reference } from 'mooring';
import { toyRun } from 'mooring/testing';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';

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

  it('refuses a reference that cannot be moved', async () => {
    const fixed = definePlugin({
      name: 'fixed',
      apiVersion: 1,
      apply({ provide }) {
        const nothing = { fingerprint: async () => '', bytesResident: () => 0, score: async () => ({}) };
        provide(Reference, { uses: {}, create: () => ({ kind: 'cached', ...nothing }) });
      },
    });
    const attempt = toyRun([fixed(), syncRefModel()]).trainer.train();
    await expect(attempt).rejects.toThrow(MooringError);
    await expect(attempt).rejects.toThrow('kind cached');
  });
});
