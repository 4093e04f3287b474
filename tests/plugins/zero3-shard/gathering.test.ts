import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { MooringError, ParameterStore, type Plugin } from 'mooring';
import { klPenalty } from 'mooring/plugins/kl-penalty';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refClone } from 'mooring/plugins/ref-clone';
import { stacked } from '../../core/compiled.ts';
import { plugin } from '../../core/support.ts';
import { shardedRuns, wholeRun } from './sharded-runs.ts';

/** Of the toy with two layers: an embedding and a head of 8 x 4, a bias of 8, and two layers of 4 x 4. */
const [parameters, elements] = [5, 32 + 32 + 8 + 16 + 16];
const penalised = [klPenalty({ estimator: 'k3' })];

test.each([0, 100_000])(
  'one rank sends nothing, whatever is whole: up to %d elements',
  async (persistenceThreshold) => {
    const [run] = await shardedRuns(1, () => [refClone(), ...penalised], { persistenceThreshold });
    expect(run?.statistics.at(-1)).toMatchObject({ bytesGathered: 0, bytesReduced: 0 });
  },
);

describe.each([2, 3, 4])('on %s ranks', (ranks) => {
  test('a step gathers each parameter twice for the policy and once for the reference, and reduces it once', async () => {
    const runs = await shardedRuns(ranks, () => [stacked(2), refClone(), ...penalised]);
    let received = 0;
    for (const { statistics } of runs) {
      const [second, third] = [statistics[1], statistics[2]];
      const of = (view: string) => (third?.gathered[view] ?? 0) - (second?.gathered[view] ?? 0);
      expect([of('policy'), of('reference')]).toEqual([2 * parameters, parameters]);
      const bytes = (third?.bytesGathered ?? 0) - (second?.bytesGathered ?? 0);
      // each gather brings what others have, which is what it sends of each gradient
      expect(bytes).toBe(3 * ((third?.bytesReduced ?? 0) - (second?.bytesReduced ?? 0)));
      received += bytes;
    }
    expect(received).toBe(3 * (ranks - 1) * 4 * elements);
  });

  test('stage by stage, what is split exists once among all ranks', async () => {
    const own = 4 * elements;
    const run = async (stage?: 1 | 2 | 3) => {
      const before = (await wholeRun([stacked(2)])).bytes[0] ?? 0;
      const plugins = () => [stacked(2)];
      const { bytes = [] } =
        stage === undefined ? await wholeRun(plugins()) : ((await shardedRuns(ranks, plugins, { stage }))[0] ?? {});
      // parameters and gradients, and from the second step on two moments of each
      return [(bytes[0] ?? 0) - before, (bytes[2] ?? 0) - before].map((more) => more / own);
    };
    expect(await run()).toEqual([0, 2]);
    expect(await run(3)).toEqual([0, 2]);
    expect(await run(2)).toEqual([ranks, 2 + ranks]);
    // by then its gradients have been added over the ranks too
    expect(await run(1)).toEqual(await run(2));
  });

  test('with stage 1 gradients stay whole while the backward pass lasts, with stage 2 each rank keeps its part', async () => {
    const inBackward = async (stage: 1 | 2) => {
      const [run] = await shardedRuns(ranks, () => [stacked(2)], { stage });
      return run?.bytesInBackward[0] ?? 0;
    };
    expect(await inBackward(1)).toBeGreaterThan(await inBackward(2));
  });

  test('with adapters one gather of the frozen base serves reference and policy where there is room for it', async () => {
    const lora = () => [stacked(2), peftLora({ r: 1, alpha: 2, targetModules: 'all-linear' }), ...penalised];
    // the adapter, and the bias, are whole everywhere
    const gathered = async (maxLiveParameters: number) => {
      const [run] = await shardedRuns(ranks, lora, { persistenceThreshold: 8, maxLiveParameters });
      return run?.statistics.map((each) => each.gathered.policy ?? 0) ?? [];
    };
    const kept = await gathered(elements);
    expect(kept.at(-1)).toBe(parameters - 1);
    const released = await gathered(0);
    // below the lowest layer nothing is trained, so a backward pass does not come to the embedding
    expect((released[2] ?? 0) - (released[1] ?? 0)).toBe(3 * (parameters - 1) - 1);
  });
});

test('a plugin that reads a whole value outside of a block is told its name, the parameter, and what to do', async () => {
  const uses = { store: ParameterStore };
  const curious: () => Plugin[] = () => [
    plugin(
      'curious',
      ({ hooks, services }) => hooks.stepEnd.tap(() => void services.store.read('head.bias', 'policy')),
      uses,
    ),
  ];
  const before = tf.memory().numTensors;
  const error: MooringError = await shardedRuns(2, curious).then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(MooringError);
  expect(error.code).toBe('PARAMETER_NOT_GATHERED');
  expect(error.place).toEqual({ plugin: 'curious', hook: 'stepEnd', step: 1 });
  expect(error.message).toMatch(/"head.bias".*2 ranks.*withGathered/s);
  expect(tf.memory().numTensors).toBe(before);
});

test('a block that fails leaves nothing behind on any rank', async () => {
  const clumsy = () => [
    plugin('clumsy', ({ hooks }) => {
      let visits = 0;
      hooks.beforeBackward.tap(() => {
        if (++visits === 3) throw new TypeError('boom');
      });
    }),
  ];
  const before = tf.memory().numTensors;
  await expect(shardedRuns(2, () => [stacked(2), ...clumsy()])).rejects.toThrow('boom');
  expect(tf.memory().numTensors).toBe(before);
});
