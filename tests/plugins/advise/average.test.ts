import { beforeAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Engine } from 'mooring';
import { refClone } from 'mooring/plugins/ref-clone';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { toyRun } from 'mooring/testing';
import { averageCopies } from '../../../plugins/advise/average.ts';
import { plugin } from '../../core/support.ts';

beforeAll(() => tf.setBackend('cpu'));

const steps = 8;
const modelBytes = 4 * (8 * 4 + 8 * 4 + 8); // of the toy model

/** The most bytes that a toy run holds after an optimizer step, before its average and reference change. */
async function mostBytes(storage: 'float32' | 'bfloat16', options?: Parameters<typeof syncRefModel>[0]) {
  let most = 0;
  const watch = plugin(
    'watch',
    ({ hooks, services }) =>
      hooks.stepEnd.tap(
        () => {
          most = Math.max(most, services.engine.memory().bytes);
        },
        { before: ['sync-ref-model?'] },
      ),
    { engine: Engine },
  );
  const moving = options === undefined ? [] : [syncRefModel(options)];
  await toyRun([refClone({ storage }), ...moving, watch], { steps }).trainer.train();
  return most;
}

test.each([
  [1, { everySteps: 1 }, 2],
  [2, { everySteps: 1 }, 3],
  [2, { everySteps: 2, updateAfter: 3 }, 3],
  [3, { everySteps: 3, updateAfter: 2, refModelUpdateAfter: 2 }, 2],
  [20, { everySteps: 1 }, 2],
  [1, { everySteps: 20 }, 0],
  [1, { everySteps: 20, updateAfter: 2 }, 1],
])(
  'what an average keeps is counted as a run keeps it: reference each %i steps, average %j',
  async (everySteps, bema, copies) => {
    const { everySteps: updateEverySteps, ...after } = { updateAfter: 0, refModelUpdateAfter: 0, ...bema };
    const counted = averageCopies({ everySteps, updateEverySteps, ...after }, steps);
    expect(counted.besideWhole).toBe(copies);
    for (const [storage, count] of [
      ['float32', counted.besideWhole],
      ['bfloat16', counted.besidePacked],
    ] as const) {
      const more = (await mostBytes(storage, { everySteps, bema })) - (await mostBytes(storage));
      expect(more / modelBytes).toBe(count);
    }
  },
);
