import { beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { engineNames, openEngine } from '../../../core/engine/engine.ts';
import { createParameterStore } from '../../../core/parameters/store.ts';
import type { ParameterStore } from '../../../core/tokens.ts';

const refused = (code: string) => expect.objectContaining({ code });
const precise = [1, 1.0000001, 3.3, -2.7, 0.1, 7];
const coarse = [1, 1, 3.296875, -2.703125, 0.10009765625, 7];

describe.each(engineNames)('a store of bfloat16 parameters on %s', (name) => {
  let store: ParameterStore;
  let tensorsBefore: number;

  beforeEach(async () => {
    const engine = await openEngine(name);
    tensorsBefore = tf.memory().numTensors;
    store = createParameterStore(engine);
    for (const parameter of ['base', 'trained']) store.define({ name: parameter, shape: [3, 2], isDecayed: true });
    store.setTrainable('base', false);
  });

  const load = () => {
    for (const parameter of store.names) store.load(parameter, tf.tensor(precise, [3, 2]));
  };
  const valuesOf = (parameter: string, view = 'policy') =>
    tf.tidy(() => Array.from(store.read(parameter, view).dataSync<'float32'>()));
  const end = () => {
    store.dispose();
    expect(tf.memory().numTensors).toBe(tensorsBefore);
  };

  test.each(['before it is loaded', 'afterwards'])('a frozen parameter is packed %s', (when) => {
    if (when === 'afterwards') load();
    store.setStorage('base', 'bfloat16');
    if (when !== 'afterwards') load();
    expect(valuesOf('base')).toEqual(coarse);
    expect(store.storage('base', 'policy')).toBe('bfloat16');
    expect(store.storage('trained', 'policy')).toBe('float32');
    expect(store.bytesResident('policy')).toBe(24 + 16);
    store.setStorage('base', 'float32');
    expect(valuesOf('base')).toEqual(coarse);
    expect(store.bytesResident('policy')).toBe(48);
    end();
  });

  test('what is trained cannot be packed, nor what is packed be trained', () => {
    load();
    expect(() => store.setStorage('trained', 'bfloat16')).toThrow(refused('STORAGE_OF_TRAINED'));
    store.setStorage('base', 'bfloat16');
    expect(() => store.setTrainable('base', true)).toThrow(refused('STORAGE_OF_TRAINED'));
    store.setTrainable('base', false);
    store.setStorage('base', 'float32');
    store.setTrainable('base', true);
    end();
  });

  test('a view shares what is packed, and values written to it are rounded', () => {
    store.setStorage('base', 'bfloat16');
    load();
    store.addView('reference');
    expect(store.storage('base', 'reference')).toBe('bfloat16');
    expect(store.bytesResident('reference')).toBe(0);
    store.write(
      'base',
      'reference',
      tf.tensor(
        precise.map((value) => value + 1),
        [3, 2],
      ),
    );
    expect(store.bytesResident('reference')).toBe(16);
    expect(valuesOf('base', 'reference').slice(0, 3)).toEqual([2, 2, 4.3125]);
    expect(valuesOf('base')).toEqual(coarse);
    end();
  });

  test('a bfloat16 view packs what is trainable, shares the rest, and stays as it was', async () => {
    load();
    store.addView('reference', { storage: 'bfloat16' });
    expect(store.bytesResident('reference')).toBe(16);
    expect(valuesOf('trained', 'reference')).toEqual(coarse);
    expect(valuesOf('base', 'reference')).toEqual(valuesOf('base'));
    const fingerprint = await store.fingerprint('reference');
    store.write('trained', 'policy', tf.zeros([3, 2]));
    expect(store.bytesResident('reference')).toBe(16);
    expect(await store.fingerprint('reference')).toBe(fingerprint);
    // a value of the policy that is written there is a buffer of its own
    store.write('trained', 'reference', store.read('trained', 'policy'));
    expect(store.bytesResident('reference')).toBe(16);
    expect(valuesOf('trained', 'reference')).toEqual([0, 0, 0, 0, 0, 0]);
    store.removeView('reference');
    end();
  });
});
