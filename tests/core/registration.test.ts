import { expect, test } from '@jest/globals';
import { definePlugin, type Plugin } from 'mooring';
import { toyRun } from 'mooring/testing';
import { z } from 'zod';
import { failureOf, plugin } from './support.ts';

const alpha = (more: object = {}): Plugin =>
  definePlugin({ name: 'alpha', apiVersion: 1, apply: () => undefined, ...more })();
const refusal = async (...plugins: Plugin[]) => failureOf(() => toyRun(plugins).trainer.explain());

test('the checklist of registration: one name once, an API version, companions, no conflicts', async () => {
  expect((await refusal(alpha(), alpha())).code).toBe('PLUGIN_DUPLICATE');
  expect((await refusal(alpha({ apiVersion: 2 }))).code).toBe('PLUGIN_API_VERSION');
  expect((await refusal(alpha({ requires: ['bravo'] }))).code).toBe('PLUGIN_MISSING');
  const conflict = await refusal(
    alpha({ conflicts: { bravo: 'both move the reference.' } }),
    plugin('bravo', () => undefined),
  );
  expect(conflict.code).toBe('PLUGIN_CONFLICT');
  expect(conflict.message).toContain('both move the reference.');
});

test('options are checked, defaults filled in, and an unknown key is named with the nearest known one', async () => {
  let seen: unknown;
  const picky = definePlugin({
    name: 'picky',
    apiVersion: 1,
    options: z.strictObject({
      everySteps: z.int().default(7),
      inner: z.strictObject({ alpha: z.number() }).optional(),
    }),
    apply({ options }) {
      seen = options;
    },
  });
  toyRun([picky()]).trainer.explain();
  expect(seen).toEqual({ everySteps: 7 });
  const misspelt = { everyStep: 3 } as object;
  const { code, message } = await refusal(picky(misspelt));
  expect(code).toBe('OPTIONS_INVALID');
  expect(message).toMatch(/picky\.everyStep: unknown key.*Did you mean 'everySteps'/);
  const nested = { inner: { alphq: 1 } } as object;
  expect((await refusal(picky(nested))).message).toMatch(/picky\.inner\.\w+/);
});

test('a schema of another library than zod works too, by the Standard Schema', async () => {
  const positive = {
    '~standard': {
      version: 1 as const,
      vendor: 'bravo',
      validate: (value: unknown) =>
        typeof value === 'number' && value > 0 ? { value } : { issues: [{ message: 'not positive' }] },
    },
  };
  const other = definePlugin({ name: 'other', apiVersion: 1, options: positive, apply: () => undefined });
  const wrong = -1 as never;
  expect((await refusal(other(wrong))).message).toContain('other: not positive');
});

test('use() after the run is frozen says what to write instead', async () => {
  const { trainer } = toyRun();
  trainer.explain();
  const { code, message } = await failureOf(() => trainer.use(alpha()));
  expect(code).toBe('RUN_FROZEN');
  expect(message).toContain('createTrainer');
  expect((await failureOf(() => trainer.remove('toy'))).code).toBe('RUN_FROZEN');
});

test('use() refuses what is no plugin, and remove() a name that is not there', async () => {
  const { trainer } = toyRun();
  const factory = definePlugin({ name: 'alpha', apiVersion: 1, apply: () => undefined });
  expect((await failureOf(() => trainer.use(factory as never))).message).toContain('a function');
  const { code, message } = await failureOf(() => trainer.remove('toi'));
  expect(code).toBe('PLUGIN_UNKNOWN');
  expect(message).toContain('toy');
});

test('explain loads nothing, and can be asked twice', () => {
  const { trainer } = toyRun([alpha()]);
  expect(trainer.explain()).toEqual(trainer.explain());
  expect(trainer.explain().plugins.map(({ name }) => name)).toEqual(['core', 'toy', 'alpha']);
});
