import { expect, test } from '@jest/globals';
import { DataSource, Driver, Reference, token } from 'mooring';
import { toyRun } from 'mooring/testing';
import { failureOf, plugin } from './support.ts';

const failing = plugin('failing', ({ hooks }) => {
  hooks.trainBegin.tap(() => {
    throw new TypeError('first');
  });
});

test('a teardown that fails too is logged, and the error that ended the run is thrown', async () => {
  const clumsy = plugin('clumsy', ({ hooks }) => {
    hooks.teardown.tap(() => {
      throw new TypeError('second');
    });
  });
  const { trainer, logged } = toyRun([failing, clumsy]);
  expect((await failureOf(() => trainer.train())).place).toMatchObject({ plugin: 'failing', hook: 'trainBegin' });
  expect(logged).toContainEqual(
    expect.objectContaining({ level: 'error', message: expect.stringContaining('second') }),
  );
  // alone it is the error
  expect((await failureOf(() => toyRun([clumsy]).trainer.train())).place).toMatchObject({ plugin: 'clumsy' });
});

test('a service that cannot be disposed does not hide the error, and all others are disposed', async () => {
  const disposed: string[] = [];
  const One = token<object>('One', 'services');
  const Two = token<object>('Two', 'services');
  const services = plugin(
    'services',
    ({ provide }) => {
      provide(One, { uses: {}, create: () => ({ dispose: () => void disposed.push('one') }) });
      provide(Two, {
        uses: {},
        create: () => ({
          dispose() {
            throw new TypeError('second');
          },
        }),
      });
    },
    { one: One, two: Two },
  );
  const { trainer, logged } = toyRun([failing, services]);
  expect((await failureOf(() => trainer.train())).place.plugin).toBe('failing');
  expect(disposed).toEqual(['one']);
  expect(logged.map(({ message }) => message)).toContain('TypeError: second');
});

test('withServices disposes what it opened when its body fails', async () => {
  let isDisposed = false;
  const One = token<object>('One', 'services');
  const services = plugin('services', ({ provide }) => {
    const dispose = () => {
      isDisposed = true;
    };
    provide(One, { uses: {}, create: () => ({ dispose }) });
  });
  const body = () => Promise.reject(new TypeError('alpha'));
  await expect(toyRun([services]).trainer.withServices({ one: One }, body)).rejects.toThrow('alpha');
  expect(isDisposed).toBe(true);
});

test('the batch that is read ahead when a run stops is done with before the teardown', async () => {
  const events: string[] = [];
  const slow = plugin('slow', ({ hooks }) => {
    hooks.batch.tap(async (_, { position }) => {
      events.push(`begin ${position}`);
      for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
      events.push(`end ${position}`);
    });
    hooks.trainEnd.tap(() => void events.push('trainEnd'));
  });
  await toyRun([slow], { steps: 1 }).trainer.train();
  expect(events).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'trainEnd']);
});

test('an error in a batch tap is thrown by the step that needs the batch, and names no other step', async () => {
  const steps: number[] = [];
  const picky = plugin('picky', ({ hooks }) => {
    hooks.batch.tap((_, { position }) => {
      if (position === 2) throw new TypeError('batch 2');
      return undefined;
    });
    hooks.stepEnd.tap(({ step }) => void steps.push(step.index));
  });
  const error = await failureOf(() => toyRun([picky], { steps: 5 }).trainer.train());
  expect(error.place).toEqual({ plugin: 'picky', hook: 'batch', step: undefined });
  expect(steps).toEqual([1, 2]);
  // a batch that no step takes troubles nobody
  expect((await toyRun([picky], { steps: 2 }).trainer.train()).steps).toBe(2);
});

test('data of another kind than the objective reads is refused, with a reference too', async () => {
  const reference = plugin('ref', ({ provide }) => {
    provide(Reference, {
      uses: { driver: Driver },
      create: ({ driver }) => ({
        kind: 'clone',
        fingerprint: async () => 'november',
        bytesResident: () => 0,
        score: (pass) => driver.forward({ ...pass, view: 'policy' }),
      }),
    });
  });
  const sound = plugin('sound', ({ decorate }) => {
    decorate(DataSource, {
      uses: {},
      create: (inner) => ({
        ...inner,
        async *open(position) {
          for await (const batch of inner.open(position)) yield { ...batch, kind: 'sound' };
        },
      }),
    });
  });
  for (const plugins of [[sound], [sound, reference]]) {
    expect((await failureOf(() => toyRun(plugins).trainer.train())).code).toBe('OBJECTIVE_BATCH_KIND');
  }
});

test('a stop that was asked for before training ends it before the first step', async () => {
  const { trainer } = toyRun();
  trainer.requestStop('changed my mind');
  expect(await trainer.train()).toMatchObject({ steps: 0, stopReason: 'changed my mind', record: undefined });
});
