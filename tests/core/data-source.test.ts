import { expect, test } from '@jest/globals';
import { type Batch, DataSource, ParameterStore } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from './support.ts';

/** Wraps the toy's data: lets through as many batches as said, and counts how often it was closed. */
function limited(batches: number, batchesPerEpoch = 3) {
  const seen = { closed: 0 };
  const tap = plugin('limited', ({ decorate }) => {
    decorate(DataSource, {
      uses: {},
      create: (inner) => ({
        fingerprint: inner.fingerprint,
        batchesPerEpoch,
        async *open(position): AsyncIterableIterator<Batch> {
          try {
            for await (const batch of inner.open(position)) {
              if (batch.position >= batches) return;
              yield batch;
            }
          } finally {
            seen.closed++;
          }
        },
      }),
    });
  });
  return { tap, seen };
}

test('the data is closed when a run is done, when it is stopped, and when it fails', async () => {
  const { tap, seen } = limited(Number.POSITIVE_INFINITY);
  await toyRun([tap], { steps: 2 }).trainer.train();
  expect(seen.closed).toBe(1);
  const { trainer } = toyRun([
    tap,
    plugin('alpha', ({ hooks }) => hooks.stepEnd.tap(() => trainer.requestStop('enough'))),
  ]);
  expect((await trainer.train()).steps).toBe(1);
  expect(seen.closed).toBe(2);
  const failing = plugin('failing', ({ hooks }) => {
    hooks.stepEnd.tap(() => {
      throw new TypeError('boom');
    });
  });
  await failureOf(() => toyRun([tap, failing]).trainer.train());
  expect(seen.closed).toBe(3);
});

test('data that ends before the last step ends the run with an error, at the step that lacks it', async () => {
  const { tap } = limited(5, 6);
  const steps: number[] = [];
  const spy = plugin('spy', ({ hooks }) => hooks.stepEnd.tap(({ step }) => void steps.push(step.index)));
  const error = await failureOf(() => toyRun([tap, spy], { steps: 9, gradientAccumulationSteps: 2 }).trainer.train());
  expect(error).toMatchObject({ code: 'DATA_ENDED', details: { step: 3, steps: 9 } });
  expect(steps).toEqual([1, 2]);
});

test('no batches make no steps, and the run says so before it trains', async () => {
  const { tap } = limited(0, 0);
  expect((await failureOf(() => toyRun([tap]).trainer.train())).code).toBe('NO_STEPS');
});

test('without a number of steps a run takes as many as its epochs have, the last of each with what is left', async () => {
  const sizes: number[] = [];
  const spy = plugin('spy', ({ hooks }) =>
    hooks.stepBegin.tap(({ microBatches }) => void sizes.push(microBatches.length)),
  );
  const train = { steps: undefined, epochs: 2, gradientAccumulationSteps: 2 } as object;
  const { steps } = await toyRun([spy], train).trainer.train();
  expect(steps).toBe(4);
  expect(sizes).toEqual([2, 1, 2, 1]);
});

test('a model whose every parameter is frozen is refused before the first step', async () => {
  const frozen = plugin(
    'frozen',
    ({ hooks, services }) => {
      hooks.modelReady.tap(() => {
        for (const name of services.store.names) services.store.setTrainable(name, false);
      });
    },
    { store: ParameterStore },
  );
  expect((await failureOf(() => toyRun([frozen]).trainer.train())).code).toBe('NOTHING_TRAINABLE');
});
