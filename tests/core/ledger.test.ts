import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Batch, Clock, DataSource } from 'mooring';
import { toyRun } from 'mooring/testing';
import { Ledger } from '../../core/ledger.ts';
import { plugin } from './support.ts';

/** A ledger over a clock and a memory that the test moves by hand. */
function byHand() {
  const now = { milliseconds: 0, tensors: 0, bytes: 0 };
  const ledger = new Ledger(
    () => now.milliseconds,
    () => ({ tensors: now.tensors, bytes: now.bytes }),
  );
  const pass = (milliseconds: number, tensors = 0) => {
    now.milliseconds += milliseconds;
    now.tensors += tensors;
    now.bytes += 4 * tensors;
  };
  return { ledger, pass };
}

test('keeps calls, milliseconds, tensors and bytes of each plugin and hook', () => {
  const { ledger, pass } = byHand();
  for (const left of [2, -1]) {
    pass(100, 7); // the core's own, between two taps
    const done = ledger.begin('alpha', 'stepEnd');
    pass(5, left);
    done();
  }
  expect(ledger.entries()).toEqual([
    { plugin: 'alpha', hook: 'stepEnd', calls: 2, milliseconds: 10, tensors: 1, bytes: 4 },
  ]);
});

test('a tap inside another counts for itself only', () => {
  const { ledger, pass } = byHand();
  const outer = ledger.begin('alpha', 'trainBegin');
  pass(1, 1);
  const inner = ledger.begin('bravo', 'evaluated');
  pass(10, 5);
  inner();
  pass(2, 1);
  outer();
  expect(ledger.entries()).toEqual([
    { plugin: 'bravo', hook: 'evaluated', calls: 1, milliseconds: 10, tensors: 5, bytes: 20 },
    { plugin: 'alpha', hook: 'trainBegin', calls: 1, milliseconds: 3, tensors: 2, bytes: 8 },
  ]);
});

type Nest = { readonly work: number; readonly within: readonly Nest[] };
const nest: (depth: number) => fc.Arbitrary<Nest> = fc.memo((depth) =>
  fc.record({ work: fc.nat(9), within: depth > 1 ? fc.array(nest(depth - 1), { maxLength: 3 }) : fc.constant([]) }),
);

test('whatever taps nest in whatever others, the parts add up to the whole', () => {
  fc.assert(
    fc.property(nest(4), (given) => {
      const { ledger, pass } = byHand();
      let total = 0;
      const run = ({ work, within }: Nest, depth: number) => {
        const done = ledger.begin(`depth ${depth}`, 'setup');
        pass(work, work);
        total += work;
        for (const each of within) run(each, depth + 1);
        done();
      };
      run(given, 0);
      const sum = (of: 'milliseconds' | 'tensors') => ledger.entries().reduce((all, entry) => all + entry[of], 0);
      expect([sum('milliseconds'), sum('tensors')]).toEqual([total, total]);
    }),
  );
});

test('a batch tap, which runs beside a step, is charged with its time and not with the tensors of the step', () => {
  const { ledger, pass } = byHand();
  const ahead = ledger.begin('alpha', 'batch');
  const beside = ledger.begin('bravo', 'stepBegin');
  pass(3, 2);
  ahead(); // it ends while another tap runs
  pass(1, 1);
  beside();
  const [batch, step] = ledger.entries();
  expect(batch).toMatchObject({ plugin: 'alpha', milliseconds: 3, tensors: 0, bytes: 0 });
  expect(step).toMatchObject({ plugin: 'bravo', milliseconds: 4, tensors: 3 });
});

test('the account of a step starts anew, that of the run goes on', () => {
  const { ledger, pass } = byHand();
  for (let step = 1; step <= 3; step++) {
    ledger.beginStep();
    const done = ledger.begin('alpha', 'stepEnd');
    pass(step);
    done();
  }
  expect(ledger.entries('step')).toMatchObject([{ calls: 1, milliseconds: 3 }]);
  expect(ledger.entries('run')).toMatchObject([{ calls: 3, milliseconds: 6 }]);
});

test('a step that waits for its batch is charged with the wait, failed or not', async () => {
  const { ledger, pass } = byHand();
  const arriving = async (milliseconds: number) => {
    await undefined;
    pass(milliseconds);
    return 'batch';
  };
  pass(100);
  expect(await ledger.awaitData(arriving(3))).toBe('batch');
  await expect(ledger.awaitData(arriving(4).then(() => Promise.reject(new TypeError('boom'))))).rejects.toThrow('boom');
  expect(ledger.millisecondsAwaitingData).toBe(7);
});

test('a run says how long its steps waited for their batches', async () => {
  const now = { milliseconds: 0 };
  const waits: number[] = [];
  const slow = plugin('slow', ({ hooks, provide, decorate }) => {
    provide(Clock, { replaces: 'core', uses: {}, create: () => ({ now: () => now.milliseconds }) });
    decorate(DataSource, {
      uses: {},
      create: (inner) => ({
        ...inner,
        async *open(position): AsyncIterableIterator<Batch> {
          for await (const batch of inner.open(position)) {
            if (batch.position === 0) now.milliseconds += 5;
            yield batch;
          }
        },
      }),
    });
    hooks.stepEnd.tap(({ step }) => {
      if (step.index === 1) now.milliseconds += 1000;
    });
    hooks.trainEnd.tap(({ run }) => void waits.push(run.millisecondsAwaitingData));
  });
  await toyRun([slow], { steps: 2 }).trainer.train();
  expect(waits).toEqual([5]);
});

test('a tap that fails is charged too, and closes its account', async () => {
  let entries: readonly object[] = [];
  const clumsy = plugin('clumsy', ({ hooks }) => {
    hooks.stepEnd.tap(async () => {
      throw new TypeError('boom');
    });
    hooks.teardown.tap(({ run }) => {
      entries = run.ledger();
    });
  });
  await expect(toyRun([clumsy]).trainer.train()).rejects.toThrow('boom');
  expect(entries).toContainEqual(expect.objectContaining({ plugin: 'clumsy', hook: 'stepEnd', calls: 1, tensors: 0 }));
});
