import vm from 'node:vm';
import { expect, test } from '@jest/globals';
import type { Pass } from 'mooring';
import { packRows } from 'mooring';
import { AsyncSeriesBailHook, SyncHook, SyncWaterfallHook } from 'tapable';
import { createRandom } from '../../core/random.ts';
import { failureOf, tapped, textBatch } from './support.ts';

// each trap of tapable first as it is, then as our face closes it

const step = { index: 3, steps: 9, epoch: 0 };
const settings = { learningRate: 1 };
const pass: Pass = {
  key: 'policy',
  view: 'policy',
  gradient: false,
  outputs: ['logps'],
  rows: packRows([{ ids: [1, 2], completionStart: 1 }]),
};

test('an unknown or late `before` name hoists a tap over every stage in tapable, and is refused or honoured here', async () => {
  const order: string[] = [];
  const plain = new SyncHook<[unknown]>(['args']);
  plain.tap('alpha', () => void order.push('alpha'));
  plain.tap({ name: 'bravo', before: 'charlie', stage: 100 }, () => void order.push('bravo'));
  plain.tap('charlie', () => void order.push('charlie'));
  plain.call({});
  expect(order).toEqual(['bravo', 'alpha', 'charlie']); // bravo jumped over alpha, against its stage

  const hooks = tapped(({ alpha, bravo, charlie }) => {
    alpha.setup.tap(() => undefined);
    bravo.setup.tap(() => undefined, { before: 'charlie' });
    charlie.setup.tap(() => undefined);
  });
  expect(hooks.tapsOf('setup').map((tap) => tap.plugin)).toEqual(['alpha', 'bravo', 'charlie']);
  const error = await failureOf(() => tapped(({ bravo }) => bravo.setup.tap(() => undefined, { before: 'delta' })));
  expect(error.code).toBe('TAP_ORDER_UNKNOWN');
  expect(error.message).toContain("Write 'delta?' if the plugin may be absent");
});

test('null replaces the value of a waterfall in tapable, and is refused here', async () => {
  const plain = new SyncWaterfallHook<[unknown]>(['value']);
  plain.tap('alpha', () => null);
  expect(plain.call(1)).toBeNull();

  const synchronous = tapped(({ alpha }) => alpha.settings.tap(() => null as never));
  const first = await failureOf(() => synchronous.call.settings(settings, { step, last: undefined }));
  const asynchronous = tapped(({ alpha }) => alpha.batch.tap(async () => null as never));
  const second = await failureOf(() => asynchronous.call.batch(textBatch(), { position: 0, random: createRandom(1) }));
  for (const [error, hook] of [
    [first, 'settings'],
    [second, 'batch'],
  ] as const) {
    expect(error).toMatchObject({ code: 'HOOK_RETURNED_NULL', place: { plugin: 'alpha', hook } });
  }
});

test('null ends a bail in tapable, and is refused here', async () => {
  const plain = new AsyncSeriesBailHook<[], unknown>([]);
  plain.tapPromise('alpha', async () => null);
  plain.tapPromise('bravo', async () => 'answer');
  await expect(plain.promise()).resolves.toBeNull();

  const hooks = tapped(({ alpha, bravo }) => {
    alpha.pass.tap(async () => null as never);
    bravo.pass.tap(async () => ({}));
  });
  expect((await failureOf(() => hooks.call.pass({ pass }))).code).toBe('HOOK_RETURNED_NULL');
});

test('an undefined leaves the value of a waterfall and lets a bail go on', async () => {
  const hooks = tapped(({ alpha, bravo, charlie }) => {
    alpha.settings.tap(() => undefined);
    bravo.settings.tap((value) => ({ learningRate: value.learningRate / 2 }));
    alpha.pass.tap(() => undefined);
    bravo.pass.tap(async () => ({}));
    charlie.pass.tap(() => {
      throw new TypeError('never asked');
    });
  });
  expect(hooks.call.settings(settings, { step, last: undefined })).toEqual({ learningRate: 0.5 });
  await expect(hooks.call.pass({ pass })).resolves.toEqual({});
});

test('an async function in a synchronous hook loses its value in tapable, and is refused here when tapped', async () => {
  const plain = new SyncWaterfallHook<[unknown]>(['value']);
  plain.tap('alpha', async (value) => value);
  expect(plain.call(1)).toBeInstanceOf(Promise);

  const lost = (async () => undefined) as never;
  const error = await failureOf(() => tapped(({ alpha }) => alpha.settings.tap(lost)));
  expect(error).toMatchObject({ code: 'HOOK_ASYNC', details: { plugin: 'alpha', hook: 'settings' } });
  expect((await failureOf(() => tapped(({ alpha }) => alpha.metrics.tap(lost)))).code).toBe('HOOK_ASYNC');
});

test('an async function of another realm is recognised too, where instanceof is not', async () => {
  const foreign: never = vm.runInNewContext('async () => undefined') as never;
  const AsyncFunction = (async () => undefined).constructor as FunctionConstructor;
  expect((foreign as unknown) instanceof AsyncFunction).toBe(false);
  expect((await failureOf(() => tapped(({ alpha }) => alpha.gradient.tap(foreign)))).code).toBe('HOOK_ASYNC');
});

test('a thenable that a synchronous tap returns passes as its value in tapable, and is refused here when called', async () => {
  const rejected = () => Promise.reject(new TypeError('lost'));
  const plain = new SyncHook<[unknown]>(['args']);
  let promise: Promise<never> | undefined;
  plain.tap('alpha', () => {
    promise = rejected();
  });
  expect(plain.call({})).toBeUndefined(); // tapable went on; nobody waits for the rejection
  await expect(promise).rejects.toThrow('lost');

  const hooks = tapped(({ alpha }) => alpha.settings.tap(rejected as never));
  const error = await failureOf(() => hooks.call.settings(settings, { step, last: undefined }));
  expect(error).toMatchObject({ code: 'HOOK_RETURNED_PROMISE', place: { plugin: 'alpha', hook: 'settings' } });
});

test('an error names neither hook nor plugin in tapable; here it has code, plugin, hook, step, hint and cause', async () => {
  const cause = new TypeError('boom');
  const plain = new SyncHook<[unknown]>(['args'], 'stepEnd');
  plain.tap('alpha', () => {
    throw cause;
  });
  expect(() => plain.call({})).toThrow(cause);
  expect(cause.message).toBe('boom'); // all that is known

  for (const throwing of [
    () => {
      throw cause;
    },
    async () => {
      throw cause;
    },
  ]) {
    const hooks = tapped(({ alpha }) => alpha.stepEnd.tap(throwing));
    hooks.runner.step = 3;
    const error = await failureOf(() => hooks.call.stepEnd({ step, record: {} }));
    expect(error.code).toBe('HOOK_FAILED');
    expect(error.place).toEqual({ plugin: 'alpha', hook: 'stepEnd', step: 3 });
    expect(error.entry.fact).toBe('The plugin alpha failed in the hook stepEnd at step 3: boom.');
    expect(error.entry.remedy).toContain('mend it in the plugin');
    expect(error.cause).toBe(cause);
  }
});

test('an error that already says what to do keeps its code and gains its place, once', async () => {
  const { failure } = await import('../../core/failure.ts');
  const original = failure('NO_EVALUATION_DATA', {});
  const hooks = tapped(({ alpha, bravo }) => {
    alpha.setup.tap(async () => {
      throw original;
    });
    // a hook called inside another tap: the innermost plugin is the one that failed
    bravo.trainBegin.tap(({ run }) => hooks.call.setup({ run }));
  });
  const error = await failureOf(() => hooks.call.trainBegin({ run: undefined as never }));
  expect(error).toMatchObject({
    code: 'NO_EVALUATION_DATA',
    message: original.message,
    cause: original,
    place: { plugin: 'alpha', hook: 'setup' },
  });
});

test('a tap during a run is accepted silently by tapable, and refused here with what to write instead', async () => {
  const plain = new SyncHook<[unknown]>(['args']);
  plain.tap('alpha', () => plain.tap('bravo', () => undefined));
  plain.call({});
  expect(plain.taps).toHaveLength(2);

  const hooks = tapped(({ alpha }) => alpha.setup.tap(() => alpha.stepEnd.tap(() => undefined)));
  const error = await failureOf(() => hooks.call.setup({ run: undefined as never }));
  expect(error).toMatchObject({ code: 'TAP_FROZEN', place: { plugin: 'alpha', hook: 'setup' } });
  expect(error.message).toContain('Call hooks.stepEnd.tap(...) directly in apply()');
});

test('a hook that does not exist is named with the nearest one', async () => {
  const face = { hook: 'stepEnds' as 'stepEnd' };
  const error = await failureOf(() => tapped(({ alpha }) => alpha[face.hook].tap(() => undefined)));
  expect(error.code).toBe('TAP_UNKNOWN_HOOK');
  expect(error.message).toContain('Did you mean stepEnd?');
});
