import { expect, test } from '@jest/globals';
import { type ParameterStorage, ParameterStore } from 'mooring';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { stacked } from '../../core/compiled.ts';
import { plugin } from '../../core/support.ts';
import { expectSame, shardedRuns, wholeRun } from './sharded-runs.ts';

const native = readInstalled() === undefined ? test.skip : test;
const uses = { store: ParameterStore };

/** Freezes a layer and what is below it. */
const frozen = (storage: ParameterStorage) =>
  plugin(
    'frozen',
    ({ hooks, services }) =>
      hooks.modelDefined.tap(() => {
        const { store } = services;
        for (const name of ['embedding.weight', 'layer 0.weight']) {
          store.setTrainable(name, false);
          store.setStorage(name, storage);
        }
      }),
    uses,
  );

native.each([
  ['all trained', []],
  ['some frozen', ['float32']],
  ['some frozen in bfloat16', ['bfloat16']],
] as [string, ParameterStorage[]][])('compiled blocks read gathered parameters: %s', async (_, storages) => {
  const plugins = () => [stacked(2), ...storages.map(frozen)];
  const train = { engine: 'native', steps: 3 } as const;
  const whole = await wholeRun(plugins(), { ...train, compile: 'off' });
  const runs = await shardedRuns(2, plugins, {}, { ...train, compile: 'on' });
  for (const run of runs) expectSame(run, whole);
  expect(runs[0]?.statistics.at(-1)?.bytesReduced).toBeGreaterThan(0);
});
