import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Reference, type StepRecord } from 'mooring';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { refCache } from '../../../plugins/ref-cache/index.ts';
import { comparing, failureOf, plugin } from '../../core/support.ts';

const root = mkdtempSync(path.join(tmpdir(), 'mooring-ref-cache-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Trains the toy on so many ranks, each with the whole of it; what each saw of every step, and how often its reference computed. */
function trainOn(ranks: number, directory: string, compute: 'ahead' | 'as-they-come') {
  return inRanks(ranks, async (collectives) => {
    const records: StepRecord[] = [];
    let scored = 0;
    const counting = plugin('counting', ({ decorate, hooks }) => {
      hooks.stepEnd.tap(({ record }) => void records.push(record));
      decorate(Reference, {
        uses: {},
        create: (inner) => ({
          ...inner,
          score(pass) {
            scored++;
            return inner.score(pass);
          },
        }),
      });
    });
    const cache = refCache({ directory, compute });
    const plugins = ranks === 1 ? [] : [givenRanks(collectives)];
    await toyRun([comparing, counting, cache, ...plugins], { steps: 5 }).trainer.train();
    return { records, scored };
  });
}

describe.each(['ahead', 'as-they-come'] as const)('a reference cached %s', (compute) => {
  it('is kept by the first rank, which tells the others: one file, and no rank computes what is there', async () => {
    const directory = () => mkdtempSync(path.join(root, 'cache-'));
    const [plain] = await trainOn(1, directory(), compute);
    const shared = directory();
    const fresh = await trainOn(3, shared, compute);
    expect(fresh.map(({ records }) => records)).toEqual(Array(3).fill(plain?.records));
    expect(fresh.map(({ scored }) => scored)).toEqual(Array(3).fill(plain?.scored));
    expect(readdirSync(shared).filter((name) => name.endsWith('.segment'))).toHaveLength(1);
    const again = await trainOn(2, shared, compute);
    expect(again).toEqual(Array(2).fill({ records: plain?.records, scored: 0 }));
  });

  it('that is of something else ends the run on all ranks', async () => {
    const directory = mkdtempSync(path.join(root, 'cache-'));
    await trainOn(1, directory, compute);
    const errors = await inRanks(3, (collectives) => {
      const { trainer } = toyRun([comparing, refCache({ directory, compute }), givenRanks(collectives)], { seed: 7 });
      return failureOf(() => trainer.train());
    });
    expect(errors.map(({ code }) => code)).toEqual(Array(3).fill('REF_CACHE_STALE'));
  });
});

it('scoring ahead ends on all ranks after the same batch once one of them is asked to stop', async () => {
  const directory = mkdtempSync(path.join(root, 'cache-'));
  const ends = await inRanks(3, async (collectives) => {
    let scored = 0;
    let ask = () => {};
    const stopping = plugin('stopping', ({ decorate, hooks }) => {
      hooks.trainBegin.tap(({ run }) => {
        ask = () => run.requestStop('enough');
      });
      const forget = () => {
        scored = 0; // what was asked for before the first step is not ahead
      };
      hooks.stepBegin.tap(forget, { before: 'ref-cache' });
      decorate(Reference, {
        uses: {},
        create: (inner) => ({
          ...inner,
          score(pass) {
            if (++scored === 2 && collectives.rank === 1) ask();
            return inner.score(pass);
          },
        }),
      });
    });
    const { trainer } = toyRun([comparing, stopping, refCache({ directory }), givenRanks(collectives)], { steps: 5 });
    const { steps, stopReason } = await trainer.train();
    return { scored, steps, stopReason };
  });
  // without agreement the epoch is scored to its end; the step that had begun is taken
  expect(ends).toEqual(Array(3).fill({ scored: 2, steps: 1, stopReason: 'enough' }));
});
