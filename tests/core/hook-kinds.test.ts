import { expect, test } from '@jest/globals';
import type { Block, BlockVisit, Pass } from 'mooring';
import type { TapFace } from '../../core/hooks/registry.ts';
import { failureOf, tapped } from './support.ts';

const visit: BlockVisit = { block: { name: 'head' } as Block, pass: { key: 'policy' } as Pass, next: undefined };
const end = { run: undefined as never };

function fails(message: string): () => never {
  return () => {
    throw new TypeError(message);
  };
}

test('series taps wait for each other', async () => {
  const seen: string[] = [];
  const hooks = tapped(({ alpha, bravo }) => {
    alpha.setup.tap(async () => {
      await Promise.resolve();
      seen.push('alpha');
    });
    bravo.setup.tap(() => void seen.push('bravo'));
  });
  await hooks.call.setup(end);
  expect(seen).toEqual(['alpha', 'bravo']);
});

test('collect gathers named parts, and refuses a name that two taps give', async () => {
  const hooks = tapped(({ alpha, bravo }) => {
    alpha.evaluate.tap(async () => ({ wins: 1 }));
    alpha.evaluate.tap(() => undefined);
    bravo.evaluate.tap(() => ({ ties: 2 }));
  });
  await expect(hooks.call.evaluate(end)).resolves.toEqual({ wins: 1, ties: 2 });

  const twice = tapped(({ alpha, bravo }) => {
    alpha.evaluate.tap(() => ({ wins: 1 }));
    bravo.evaluate.tap(async () => ({ wins: 2 }));
  });
  const error = await failureOf(() => twice.call.evaluate(end));
  expect(error).toMatchObject({
    code: 'HOOK_DUPLICATE_PART',
    details: { first: 'alpha', plugin: 'bravo', name: 'wins', hook: 'evaluate' },
  });
});

test('sync collect refuses a duplicate too', async () => {
  const args = { batch: undefined as never, outputs: {}, settings: { learningRate: 1 }, step: undefined };
  const metric = { value: 1, reduce: 'sum' } as const;
  const hooks = tapped(({ alpha, bravo }) => {
    alpha.metrics.tap(() => ({ wins: metric }));
    bravo.metrics.tap(() => ({ wins: metric }));
  });
  expect((await failureOf(() => hooks.call.metrics(args))).code).toBe('HOOK_DUPLICATE_PART');
});

/** Taps both hooks of a pair and writes down what runs; `bravo` may fail in either. */
function pair(seen: string[], failing: 'none' | 'before' | 'after') {
  return tapped((face) => {
    for (const [name, each] of Object.entries(face) as [string, TapFace][]) {
      each.beforeForward.tap(async () => {
        seen.push(`${name} before`);
        if (name === 'bravo' && failing === 'before') fails('in before')();
      });
      each.afterForward.tap(async () => {
        seen.push(`${name} after`);
        if (name === 'bravo' && failing === 'after') fails('in after')();
      });
    }
  });
}

const befores = ['alpha before', 'bravo before', 'charlie before'];
const afters = ['charlie after', 'bravo after', 'alpha after'];

test('paired taps run in order before, and in reverse order after, around the body', async () => {
  const seen: string[] = [];
  const result = await pair(seen, 'none').call.beforeForward(visit, async () => seen.push('body'));
  expect(seen).toEqual([...befores, 'body', ...afters]);
  expect(result).toBe(4); // what the body returned
});

test('after-taps run when the body fails, and its error is the one thrown', async () => {
  const seen: string[] = [];
  const cause = new TypeError('in body');
  await expect(pair(seen, 'none').call.beforeForward(visit, () => Promise.reject(cause))).rejects.toBe(cause);
  expect(seen).toEqual([...befores, ...afters]);
});

test('after-taps run exactly for the before-taps that began', async () => {
  const seen: string[] = [];
  const body = async () => seen.push('body');
  const error = await failureOf(() => pair(seen, 'before').call.beforeForward(visit, body));
  // bravo began, so it is owed its after-tap; charlie never began, and the body never ran
  expect(seen).toEqual(['alpha before', 'bravo before', 'bravo after', 'alpha after']);
  expect(error.place).toMatchObject({ plugin: 'bravo', hook: 'beforeForward' });
});

test('an after-tap that fails does not keep the others from running, and is named by its own hook', async () => {
  const seen: string[] = [];
  const error = await failureOf(() => pair(seen, 'after').call.beforeForward(visit, async () => seen.push('body')));
  expect(seen).toEqual([...befores, 'body', ...afters]);
  expect(error.place).toMatchObject({ plugin: 'bravo', hook: 'afterForward' });
});

test('an after-tap without a before-tap always runs', async () => {
  const seen: string[] = [];
  const hooks = tapped(({ alpha, bravo }) => {
    alpha.beforeBackward.tap(fails('in before'));
    bravo.afterBackward.tap(() => void seen.push('bravo after'));
  });
  expect((await failureOf(() => hooks.call.beforeBackward(visit, async () => 0))).code).toBe('HOOK_FAILED');
  expect(seen).toEqual(['bravo after']);
});

test('errors of the body and of after-taps are thrown together', async () => {
  const body = () => Promise.reject(new TypeError('in body'));
  const error = await failureOf(() => pair([], 'after').call.beforeForward(visit, body));
  expect(error.code).toBe('HOOKS_FAILED');
  const cause = error.cause as AggregateError;
  expect(cause.errors.map((each: Error) => each.message)).toEqual([
    'in body',
    expect.stringContaining('in the hook afterForward: in after.'),
  ]);
});

test('settled taps all run in reverse order, and their errors are thrown together', async () => {
  const seen: string[] = [];
  const hooks = tapped(({ alpha, bravo, charlie }) => {
    alpha.teardown.tap(fails('first'));
    bravo.teardown.tap(() => void seen.push('bravo'));
    charlie.teardown.tap(async () => {
      seen.push('charlie');
      fails('second')();
    });
  });
  const error = await failureOf(() => hooks.call.teardown(end));
  expect(seen).toEqual(['charlie', 'bravo']);
  expect(error).toMatchObject({ code: 'HOOKS_FAILED', details: { hook: 'teardown', count: 2 } });
  const causes = (error.cause as AggregateError).errors;
  expect(causes.map((each) => each.place.plugin)).toEqual(['charlie', 'alpha']);
});

test('a hook that nobody taps does nothing', async () => {
  const { call } = tapped(() => undefined);
  const settings = { learningRate: 1 };
  expect(call.settings(settings, { step: { index: 1, steps: 1, epoch: 0 }, last: undefined })).toBe(settings);
  await expect(call.pass({ pass: visit.pass })).resolves.toBeUndefined();
  await expect(call.evaluate(end)).resolves.toEqual({});
  await expect(call.beforeForward(visit, async () => 'body')).resolves.toBe('body');
  await expect(call.teardown(end)).resolves.toBeUndefined();
});
