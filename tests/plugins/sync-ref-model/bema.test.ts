import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { definePlugin, ParameterStore, Reference } from 'mooring';
import { toyRun } from 'mooring/testing';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { BiasCorrectedAverage } from '../../../plugins/sync-ref-model/bema.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';
import { syncSchema } from '../../../plugins/sync-ref-model/options.ts';
import { failureOf } from '../../core/support.ts';

/** TRL's names of its options. */
interface TrlOptions {
  update_freq: number;
  update_after?: number;
  ema_power?: number;
  bias_power?: number;
  lag?: number;
  multiplier?: number;
  min_ema_multiplier?: number;
  ref_model_update_freq: number;
  ref_model_update_after?: number;
}
interface Walk {
  readonly start: number[];
  readonly walk: number[][];
  readonly cases: Record<string, { options: TrlOptions; reference: number[][] }>;
}
const trl: Walk = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../fixtures/trl/bema.json'), 'utf8'));

beforeAll(() => tf.setBackend('cpu'));

const optionsOf = (options: TrlOptions) => ({
  everySteps: options.ref_model_update_freq,
  bema: {
    everySteps: options.update_freq,
    updateAfter: options.update_after,
    emaPower: options.ema_power,
    biasPower: options.bias_power,
    lag: options.lag,
    multiplier: options.multiplier,
    minEmaMultiplier: options.min_ema_multiplier,
    refModelUpdateAfter: options.ref_model_update_after,
  },
});

/** The reference after each step of a walk of the policy, in double precision. */
function independent(walk: readonly number[][], start: readonly number[], options: TrlOptions): number[][] {
  const { update_after: after = 0, ema_power = 0.5, bias_power = 0.2, lag = 10, multiplier = 1 } = options;
  let first = [...start];
  let ema = [...start];
  let average = [...start];
  let reference = [...start];
  return walk.map((policy, index) => {
    const step = index + 1;
    const age = lag + multiplier * step;
    if (step === after) {
      first = [...policy];
      ema = [...policy];
    } else if (step > after && (step - after) % options.update_freq === 0) {
      const beta = Math.max(age ** -ema_power, options.min_ema_multiplier ?? 0);
      ema = ema.map((value, i) => value + beta * ((policy[i] as number) - value));
      average = ema.map((value, i) => value + ((policy[i] as number) - (first[i] as number)) / age ** bias_power);
    }
    const since = step - (options.ref_model_update_after ?? 0);
    if (since >= 0 && since % options.ref_model_update_freq === 0) reference = [...average];
    return reference;
  });
}

/** The policy and the reference after each step of a toy run whose policy walks as it is told. */
async function run(walk: readonly number[][], start: readonly number[], options: ReturnType<typeof optionsOf>) {
  const seen: number[][] = [];
  const name = 'walk';
  const walking = definePlugin({
    name: 'walking',
    apiVersion: 1,
    uses: { store: ParameterStore, reference: Reference },
    apply({ hooks, services }) {
      hooks.modelDefined.tap(() => services.store.define({ name, shape: [start.length], isDecayed: false }));
      hooks.modelReady.tap(() => services.store.load(name, tf.tensor1d([...start])));
      hooks.stepEnd.tap(
        ({ step }) => services.store.write(name, 'policy', tf.tensor1d(walk[step.index - 1] as number[])),
        {
          before: ['sync-ref-model'],
        },
      );
      hooks.stepEnd.tap(
        () => {
          const value = services.store.read(name, 'reference');
          seen.push(Array.from(value.dataSync()));
          value.dispose();
        },
        { after: ['sync-ref-model'] },
      );
    },
  });
  await toyRun([refClone(), syncRefModel(options), walking()], { steps: walk.length }).trainer.train();
  return seen;
}

const close = (all: readonly number[][]) => all.map((each) => each.map((value) => expect.closeTo(value, 5)));

describe('a reference that is the bias-corrected average of the policy', () => {
  it.each(Object.keys(trl.cases))('is what TRL makes of the same weights: %s', async (name) => {
    const { options, reference } = trl.cases[name] as Walk['cases'][string];
    const seen = await run(trl.walk, trl.start, optionsOf(options));
    expect(seen).toEqual(close(reference));
    expect(reference).toEqual(close(independent(trl.walk, trl.start, options)));
  });

  it('is what the formulas give in double precision, whatever the options', () => {
    const options = fc.record({
      update_freq: fc.integer({ min: 1, max: 4 }),
      update_after: fc.nat(5),
      ema_power: fc.double({ min: 0, max: 1, noNaN: true }),
      bias_power: fc.double({ min: 0, max: 1, noNaN: true }),
      lag: fc.nat(20),
      multiplier: fc.double({ min: 0.1, max: 2, noNaN: true }),
      min_ema_multiplier: fc.double({ min: 0, max: 1, noNaN: true }),
      ref_model_update_freq: fc.constant(1),
    });
    fc.assert(
      fc.property(options, (given) => {
        fc.pre(given.lag > 0);
        const { bema } = syncSchema.parse(optionsOf(given));
        const average = new BiasCorrectedAverage(bema as NonNullable<typeof bema>);
        average.begin(['walk'], () => tf.tensor1d(trl.start));
        const seen = trl.walk.map((policy, index) => {
          average.step(index + 1, () => tf.tensor1d(policy));
          return tf.tidy(() => Array.from(average.read('walk').dataSync()));
        });
        average.dispose();
        expect(seen).toEqual(close(independent(trl.walk, trl.start, given)));
      }),
      { numRuns: 30 },
    );
    expect(tf.memory().numTensors).toBe(0);
  });

  it('goes on from a state that was saved as if nothing had been', () => {
    const { bema } = syncSchema.parse({ bema: { everySteps: 2, updateAfter: 1 } });
    const make = () => new BiasCorrectedAverage(bema as NonNullable<typeof bema>);
    const read = (step: number) => () => tf.tensor1d(trl.walk[step - 1] as number[]);
    const whole = make();
    whole.begin(['walk'], () => tf.tensor1d(trl.start));
    for (let step = 1; step <= 4; step++) whole.step(step, read(step));
    const resumed = make();
    resumed.load([...whole.save()]);
    resumed.begin(['walk'], read(4));
    for (let step = 5; step <= 9; step++) for (const each of [whole, resumed]) each.step(step, read(step));
    const values = [whole, resumed].map((each) => tf.tidy(() => Array.from(each.read('walk').dataSync())));
    expect(values[1]).toEqual(values[0]);
    whole.dispose();
    resumed.dispose();
    expect(tf.memory().numTensors).toBe(0);
  });

  it('has the defaults of TRL, and is not mixed as well', async () => {
    expect(syncSchema.parse({ bema: {} })).toMatchObject({
      everySteps: 400,
      bema: {
        everySteps: 400,
        emaPower: 0.5,
        biasPower: 0.2,
        lag: 10,
        updateAfter: 0,
        multiplier: 1,
        minEmaMultiplier: 0,
        refModelUpdateAfter: 0,
      },
    });
    expect(syncSchema.parse({})).toEqual({ everySteps: 512, mixupAlpha: 0.6, bema: undefined });
    const both = toyRun([refClone(), syncRefModel({ mixupAlpha: 1, bema: {} })]);
    const { code, message } = await failureOf(() => both.trainer.train());
    expect(code).toBe('OPTIONS_INVALID');
    expect(message).toContain('mixupAlpha');
  });
});
