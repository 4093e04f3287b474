import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { LoraAdapter } from '../../../plugins/peft-lora/adapter.ts';
import { AdapterSet, adaptersOff, variantOf } from '../../../plugins/peft-lora/set.ts';

const names = ['default', 'alpha', 'bravo'];

function setOf(): AdapterSet {
  const set = new AdapterSet();
  for (const name of names) set.add({ name } as LoraAdapter);
  return set;
}

/** A use of adapters: which, how many turns it waits before and after those within, and whether it fails at the end. */
interface Use {
  readonly name: string | undefined;
  readonly turns: number;
  readonly fails: boolean;
  readonly within: readonly Use[];
  readonly isInterleaved: boolean;
}

/** Uses that nest at most so deep. */
const usesOf = (depth: number): fc.Arbitrary<Use[]> =>
  fc.array(
    fc.record({
      name: fc.option(fc.constantFrom(...names), { nil: undefined }),
      turns: fc.nat(3),
      fails: fc.boolean(),
      within: depth === 0 ? fc.constant([]) : usesOf(depth - 1),
      isInterleaved: fc.boolean(),
    }),
    { maxLength: 3 },
  );

it('restores what was in use, however uses nest, fail and interleave', async () => {
  await fc.assert(
    fc.asyncProperty(usesOf(2), fc.constantFrom(...names), async (all, chosen) => {
      const set = setOf();
      set.use(chosen);
      await runAll(set, all, true, chosen);
      expect(set.active).toBe(chosen);
    }),
    { numRuns: 100 },
  );
});

it('restores what was in use after bodies that do not wait', () => {
  const set = setOf();
  const seen = set.within('alpha', () => [set.active, set.within(undefined, () => set.active), set.active]);
  expect([...seen, set.active]).toEqual(['alpha', undefined, 'alpha', 'default']);
  const failing = () =>
    set.within('bravo', () => {
      throw new RangeError('within');
    });
  expect(failing).toThrow(RangeError);
  expect(set.active).toBe('default');
});

it('gives passes the variant of what is in use, and leaves one that they name', () => {
  const set = setOf();
  expect(set.variantOf(undefined)).toBe(variantOf('default'));
  expect(set.within(undefined, () => set.variantOf(undefined))).toBe(adaptersOff);
  expect(set.within('alpha', () => set.variantOf(adaptersOff))).toBe(adaptersOff);
  expect(set.of(set.within('bravo', () => set.variantOf(undefined)))?.name).toBe('bravo');
  expect(set.of(adaptersOff)).toBeUndefined();
});

it('refuses a name that no adapter has, with those that there are', () => {
  const set = setOf();
  const unknown = expect.objectContaining({
    code: 'ADAPTER_UNKNOWN',
    message: expect.stringContaining(names.join(', ')),
  });
  expect(() => set.within('charlie', () => {})).toThrow(unknown);
  expect(() => set.use('charlie')).toThrow(unknown);
  expect(set.active).toBe('default');
});

async function run(set: AdapterSet, { name, turns, fails, within, isInterleaved }: Use): Promise<void> {
  await set.within(name, async () => {
    expect(set.active).toBe(name);
    for (let turn = 0; turn < turns; turn++) {
      await Promise.resolve();
      expect(set.active).toBe(name);
    }
    await runAll(set, within, isInterleaved, name);
    if (fails) throw new RangeError('a use that fails');
  });
}

async function runAll(set: AdapterSet, all: readonly Use[], isInterleaved: boolean, around: string | undefined) {
  const quietly = (use: Use) =>
    run(set, use).catch((error: unknown) => {
      if (!(error instanceof RangeError)) throw error;
      expect(set.active).toBe(around);
    });
  if (isInterleaved) await Promise.all(all.map(quietly));
  else for (const each of all) await quietly(each);
  expect(set.active).toBe(around);
}
