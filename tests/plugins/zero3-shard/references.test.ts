import { describe, expect, it } from '@jest/globals';
import { ParameterStore, type Plugin, Reference } from 'mooring';
import { refClone } from 'mooring/plugins/ref-clone';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { plugin } from '../../core/support.ts';
import { recorded } from './support.ts';

/** Of the toy: two matrices of 8 x 4, which are split, and a bias of 8, which is whole on every rank. */
const matrices = 2 * 8 * 4;
const bias = 8;
const persistenceThreshold = bias;

interface Seen {
  /** Bytes of the reference on this rank, before the first step and after each. */
  readonly bytes: number[];
  /** What this rank has of the reference's embedding, likewise. */
  readonly embedding: number[][];
  /** What ranks did together while a step ended, and in the whole run. */
  readonly together: string[];
  readonly calls: string[];
}

/** Trains the toy over so many ranks, with a clone for its reference; what each rank saw. */
function train(ranks: number, plugins: () => readonly Plugin[]): Promise<Seen[]> {
  return inRanks(ranks, async (collectives) => {
    const seen: Seen = { bytes: [], embedding: [], together: [], calls: [] };
    const { calls } = seen;
    const look = plugin(
      'look',
      ({ hooks, services }) => {
        let before = 0;
        const note = () => {
          seen.together.push(...calls.slice(before));
          seen.bytes.push(services.reference.bytesResident());
          const value = services.store.readShard('embedding.weight', 'reference');
          seen.embedding.push([...value.dataSync()]);
          value.dispose();
        };
        const mark = () => {
          before = calls.length;
        };
        hooks.trainBegin.tap(mark);
        hooks.trainBegin.tap(note);
        hooks.stepEnd.tap(mark, { before: ['sync-ref-model?'] });
        hooks.stepEnd.tap(note, { after: ['sync-ref-model?'] });
      },
      { store: ParameterStore, reference: Reference },
    );
    const sharded =
      ranks === 1
        ? []
        : [zero3Shard({ persistenceThreshold }), givenRanks(recorded(collectives, calls), 'zero3-shard')];
    await toyRun([refClone(), ...plugins(), look, ...sharded]).trainer.train();
    return seen;
  });
}

describe.each([2, 3])('a clone of a policy that is split among %i ranks', (ranks) => {
  it('takes nothing until training changes a parameter, then what its rank holds of that', async () => {
    const seen = await train(ranks, () => []);
    for (const { bytes } of seen) expect(bytes[0]).toBe(0);
    const total = seen.reduce((sum, { bytes }) => sum + (bytes[1] as number), 0);
    expect(total).toBe(4 * (matrices + ranks * bias));
    for (const { bytes } of seen) expect(bytes[1]).toBeLessThanOrEqual(4 * (matrices / ranks + bias) + 2 * 2 * 4);
  });

  it.each([
    ['hard', { everySteps: 2, mixupAlpha: 1 }],
    ['soft', { everySteps: 2, mixupAlpha: 0.6 }],
    ['to the average (BEMA)', { everySteps: 2, bema: { everySteps: 1, refModelUpdateAfter: 1 } }],
  ])('is moved %s with nothing gathered, to what it is moved on one rank', async (_, options) => {
    const [alone] = await train(1, () => [syncRefModel(options)]);
    const seen = await train(ranks, () => [syncRefModel(options)]);
    expect(seen.map(({ together }) => together)).toEqual(Array(ranks).fill([]));
    for (const { calls } of seen) expect(calls.length).toBeGreaterThan(4 * 2);
    for (const [step, expected] of (alone as Seen).embedding.entries()) {
      const whole = seen.flatMap(({ embedding }) => embedding[step] as number[]);
      expect(whole).toEqual(expected.map((value) => expect.closeTo(value, 6)));
    }
    expect((alone as Seen).embedding[4]).not.toEqual((alone as Seen).embedding[0]);
  });
});
