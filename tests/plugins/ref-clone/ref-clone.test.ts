import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  DataSource,
  Driver,
  definePlugin,
  Engine,
  ParameterStore,
  type Plugin,
  Reference,
  type TextBatch,
} from 'mooring';
import { toyRun } from 'mooring/testing';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';

const uses = { engine: Engine, store: ParameterStore, reference: Reference, driver: Driver, data: DataSource };

/** A plugin for one test: it looks at the services at a hook. */
function look(tap: (context: { hooks: LookHooks; services: LookServices }) => void): Plugin {
  return definePlugin({ name: 'look', apiVersion: 1, uses, apply: (context) => tap(context) })();
}
type Context = Parameters<Parameters<typeof definePlugin<undefined, undefined, typeof uses>>[0]['apply']>[0];
type LookHooks = Context['hooks'];
type LookServices = Context['services'];

const valuesOf = (store: ParameterStore, view: string) =>
  Object.fromEntries(
    store.names.map((name) => {
      const value = store.read(name, view);
      const values = Array.from(value.dataSync());
      value.dispose();
      return [name, values];
    }),
  );

describe('the cloned reference stored as bfloat16', () => {
  it('takes half the bytes of what is trainable from the start, stays the same, and is near the policy at step 0', async () => {
    const seen: { bytes: number[]; fingerprints: string[] } = { bytes: [], fingerprints: [] };
    const plugin = look(({ hooks, services }) => {
      const note = async () => {
        seen.bytes.push(services.reference.bytesResident());
        seen.fingerprints.push(await services.reference.fingerprint());
      };
      hooks.modelReady.tap(() => services.store.setTrainable('head.bias', false));
      hooks.trainBegin.tap(note);
      hooks.trainEnd.tap(note);
    });
    const { trainer, logged } = toyRun([refClone({ storage: 'bfloat16' }), plugin]);
    await trainer.train();
    // two matrices of 8 x 4 are trainable; the frozen bias of 8 is shared
    expect(seen.bytes).toEqual([2 * 8 * 4 * 2, 2 * 8 * 4 * 2]);
    expect(seen.fingerprints[0]).toBe(seen.fingerprints[1]);
    const said = logged.find(({ message }) => message.startsWith('reference: clone'))?.details as { kl: number };
    expect(said.kl).toBeGreaterThan(0);
    expect(said.kl).toBeLessThan(1e-4);
  });

  it('is refused at step 0 where it is another model', async () => {
    const plugin = look(({ hooks, services }) => {
      hooks.trainBegin.tap(() => services.store.write('head.weight', 'reference', tf.randomNormal([8, 4], 0, 9)));
    });
    const { trainer } = toyRun([refClone({ storage: 'bfloat16' }), plugin]);
    await expect(trainer.train()).rejects.toMatchObject({ code: 'REFERENCE_DIFFERS' });
  });

  it('scores compiled as it does operation by operation', async () => {
    if (readInstalled() === undefined) return;
    const score = async (compile: 'on' | 'off') => {
      let scores: number[] = [];
      const plugin = look(({ hooks, services }) => {
        hooks.trainEnd.tap(async () => {
          const { value } = await services.data.open(0).next();
          const pass = { key: 'any', rows: (value as TextBatch).rows, view: 'policy', outputs: ['logps'] } as const;
          const { logps } = await services.reference.score({ ...pass, gradient: false });
          scores = Array.from((logps as tf.Tensor).dataSync());
          logps?.dispose();
        });
      });
      const run = toyRun([refClone({ storage: 'bfloat16' }), plugin], { engine: 'native', compile });
      await run.trainer.train();
      expect(run.logged.filter(({ level }) => level === 'warn')).toEqual([]);
      return scores;
    };
    const [compiled, eager] = [await score('on'), await score('off')];
    expect(compiled.length).toBeGreaterThan(0);
    for (const [at, value] of compiled.entries()) expect(value).toBeCloseTo(eager[at] as number, 6);
  });
});

describe('the cloned reference', () => {
  it('takes no new buffer when it is made, and after steps only those of trained parameters', async () => {
    const seen: Record<string, number> = {};
    const plugin = look(({ hooks, services }) => {
      hooks.modelReady.tap(() => {
        services.store.setTrainable('head.bias', false);
        seen.before = services.engine.memory().buffers;
      });
      hooks.refInit.tap(
        () => {
          seen.after = services.engine.memory().buffers;
          seen.bytesAtFirst = services.reference.bytesResident();
        },
        { after: ['ref-clone'] },
      );
      hooks.trainEnd.tap(() => {
        seen.bytesAtLast = services.reference.bytesResident();
      });
    });
    await toyRun([refClone(), plugin]).trainer.train();
    expect(seen.after).toBe(seen.before);
    // two matrices of 8 x 4 were trained; the frozen bias of 8 is still shared
    expect(seen).toMatchObject({ bytesAtFirst: 0, bytesAtLast: 2 * 8 * 4 * 4 });
  });

  it('stays what the policy was, and scores without dropout and gradients', async () => {
    const seen: { first?: object; last?: object; fingerprints: string[] } = { fingerprints: [] };
    const plugin = look(({ hooks, services }) => {
      hooks.trainBegin.tap(async () => {
        seen.first = valuesOf(services.store, 'policy');
        seen.fingerprints.push(await services.reference.fingerprint());
      });
      hooks.trainEnd.tap(async () => {
        seen.last = valuesOf(services.store, 'reference');
        seen.fingerprints.push(await services.reference.fingerprint());
        expect(valuesOf(services.store, 'policy')).not.toEqual(seen.first);
        const { value } = await services.data.open(0).next();
        const pass = { key: 'any', rows: (value as TextBatch).rows, view: 'policy', outputs: ['logps'] } as const;
        const tensors = tf.memory().numTensors;
        const outputs = await services.reference.score({ ...pass, gradient: true, dropout: { seed: 1, step: 1 } });
        const kept = tf.memory().numTensors - tensors - Object.keys(outputs).length;
        tf.dispose(Object.values(outputs));
        services.driver.release();
        // nothing but the inputs that the driver shares between the passes of a batch
        expect(kept).toBe(3);
      });
    });
    await toyRun([refClone(), plugin]).trainer.train();
    expect(seen.last).toEqual(seen.first);
    expect(seen.fingerprints[0]).toBe(seen.fingerprints[1]);
  });

  it('is said, with its fingerprint, to be the policy itself at step 0', async () => {
    const { trainer, logged } = toyRun([refClone()]);
    await trainer.train();
    const said = logged.find(({ message }) => message.startsWith('reference: clone'));
    expect(said?.details).toMatchObject({ kind: 'clone', bytesResident: 0, kl: 0 });
    expect(said?.details).toMatchObject({ fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/) });
  });
});
