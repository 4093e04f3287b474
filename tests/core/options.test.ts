import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createTrainer, runSchema, trainSchema } from 'mooring';
import { z } from 'zod';
import { checkOptions, nearest } from '../../core/options.ts';
import { failureOf } from './support.ts';

const schema = z.strictObject({
  alpha: z.number().positive().default(1),
  inner: z.strictObject({ bravo: z.array(z.strictObject({ charlie: z.int() })).default([]) }).prefault({}),
});
const locate = (path: readonly PropertyKey[]) => `run.yaml:7, ${['dpo', ...path].map(String).join('.')}`;
const check = (value: unknown) => failureOf(() => checkOptions(schema, value, locate));

test('fills in defaults, also for options that are not given at all', () => {
  const filled = { alpha: 1, inner: { bravo: [] } };
  for (const nothing of [undefined, null, {}]) expect(checkOptions(schema, nothing, locate)).toEqual(filled);
});

test('a wrong value is named by its place, with what is wrong', async () => {
  const { code, message } = await check({ alpha: -1 });
  expect(code).toBe('OPTIONS_INVALID');
  expect(message).toMatch(/^run\.yaml:7, dpo\.alpha: .*>0/);
  expect((await check({ inner: { bravo: [{ charlie: 0 }, { charlie: 'x' }] } })).message).toContain(
    'dpo.inner.bravo.1.charlie',
  );
});

test('an unknown key is named with the nearest known one, inside another object too', async () => {
  expect((await check({ alhpa: 2 })).message).toMatch(
    /dpo\.alhpa: unknown key 'alhpa'\..*Did you mean 'alpha'\? Known keys: alpha, inner\./,
  );
  expect((await check({ inner: { brave: [] } })).message).toContain("Did you mean 'bravo'? Known keys: bravo.");
});

test('every misspelt train setting is refused by name, and its own name comes nearest', async () => {
  for (const key of Object.keys(trainSchema.shape)) {
    const misspelt = `${key.slice(0, -1)}_`;
    const error = await failureOf(() => createTrainer({ model: 'alpha', train: { [misspelt]: 1 } as object }));
    expect(error.code).toBe('OPTIONS_INVALID');
    expect(error.message).toContain(`train.${misspelt}: unknown key`);
    expect(error.message).toContain(`Did you mean '${key}'?`);
  }
});

test('any input is either checked or refused with OPTIONS_INVALID, and never changed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.anything(), async (given) => {
      const result = runSchema.safeParse(given ?? {});
      if (result.success) expect(checkOptions(runSchema, given, locate)).toEqual(result.data);
      else expect((await failureOf(() => checkOptions(runSchema, given, locate))).code).toBe('OPTIONS_INVALID');
    }),
  );
});

test('a schema that checks asynchronously is refused, since options are final before anything runs', async () => {
  const slow = z.strictObject({ alpha: z.number().refine(async () => true) });
  const standard = { '~standard': { ...slow['~standard'], validate: async () => ({ value: { alpha: 1 } }) } };
  const { message } = await failureOf(() => checkOptions(standard, { alpha: 1 }, locate));
  expect(message).toContain('its schema checks asynchronously');
});

test('the nearest name is one of the candidates, and itself where it is among them', () => {
  const name = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(fc.array(name, { minLength: 1 }), fc.nat(), name, (candidates, at, other) => {
      expect(candidates).toContain(nearest(other, candidates));
      const known = candidates[at % candidates.length] as string;
      expect(nearest(known, candidates)).toBe(known);
    }),
  );
});
