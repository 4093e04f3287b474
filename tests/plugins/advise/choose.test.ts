import path from 'node:path';
import { expect, test } from '@jest/globals';
import { type Advice, advise, type Question } from '../../../plugins/advise/advice.ts';
import { configs, decoder, question, readShapes } from './support.ts';

const GiB = 2 ** 30;
const ask = async (model: string, asked: Partial<Question>) =>
  advise(question(await readShapes(path.join(configs, model)), asked));
const bytesOf = ({ assessments }: Advice, name: string) =>
  assessments.find(({ mechanism }) => mechanism.name === name)?.bytes.resident as number;

test('memory for two copies: full training with a clone', async () => {
  const { choice } = await ask('llama-2-7b', { memory: 256 * GiB });
  expect(choice).toMatchObject({ name: 'full, clone' });
  expect(choice.reason).toMatch(
    /^There is memory for the policy and a copy of it: full training needs .* of 256 GiB\.$/,
  );
});

test('not for two copies: adapters, with a base in bfloat16 where float32 is too large', async () => {
  const large = await ask('llama-2-7b', { memory: 100 * GiB });
  expect(large.choice.name).toBe('LoRA, adapters off');
  const small = await ask('llama-2-7b', { memory: bytesOf(large, 'LoRA, adapters off') - GiB });
  expect(small.choice.name).toBe('LoRA, adapters off, base in bf16');
});

test('more than one machine holds: sharded', async () => {
  const { choice } = await ask('llama-2-7b', { memory: 40 * GiB, ranks: 8 });
  expect(choice.name).toBe('ZeRO-3, clone');
  expect(choice.reason).toMatch(/^One machine does not hold it, and each of 8 ranks needs/);
});

test('over 20 billion parameters: sharded, though adapters would fit one machine', async () => {
  const { choice } = await ask('llama-2-70b', { memory: 512 * GiB, ranks: 64 });
  expect(choice.name).toBe('ZeRO-3, clone');
  expect(choice.reason).toMatch(/^69\.0 billion parameters are more than 20 billion/);
});

test('over 20 billion parameters and nobody to share with: adapters if they fit, and what sharding would take', async () => {
  const { choice } = await ask('llama-2-70b', { memory: 1024 * GiB });
  expect(choice.name).toBe('LoRA, adapters off');
  expect(choice.reason).toMatch(/should be sharded, for which it takes at least 2 ranks; adapters fit here/);
});

test('nothing fits: the fewest ranks that do, where one less does not', async () => {
  const memory = 48 * GiB;
  const { choice } = await ask('llama-2-70b', { memory });
  expect(choice.name).toBeUndefined();
  const least = choice.leastRanks as number;
  expect(choice.reason).toBe(`Nothing fits: sharded, it needs at least ${least} ranks of 48.0 GiB each.`);
  expect((await ask('llama-2-70b', { memory, ranks: least })).choice.name).toMatch(/^ZeRO-3/);
  expect((await ask('llama-2-70b', { memory, ranks: least - 1 })).choice.name).toBeUndefined();
});

test('nothing fits on any number of ranks: it says what to change', () => {
  const shapes = decoder({ layers: 2, hidden: 4096, vocabulary: 50000 });
  const { choice } = advise(question(shapes, { memory: GiB }));
  expect(choice).toMatchObject({ name: undefined, leastRanks: undefined });
  expect(choice.reason).toMatch(/no number of ranks .* fewer pairs, shorter sequences or more memory\.$/);
});

test('another reference: only reloading has one, and not with another vocabulary', async () => {
  const shapes = await readShapes(path.join(configs, 'llama-2-7b'));
  const [same, other] = ['llama-2-70b', 'qwen2-7b'].map((name) => readShapes(path.join(configs, name)));
  const memory = 1024 * GiB;
  const fitting = advise(question(shapes, { memory, referenceShapes: await same }));
  expect(fitting.choice.name).toBe('full, reload');
  const loaded = fitting.assessments.find(({ mechanism }) => mechanism.name === 'full, reload');
  // 8 operations for a weight and token are 2 for a reference of the same size, and there it is ten times as large
  expect(loaded?.time).toBeCloseTo((6 + 2 * (68.98 / 6.74)) / 8, 0);
  expect((loaded?.bytes.reference as number) / GiB).toBeCloseTo((4 * 68.98e9) / GiB, 0);
  const refused = advise(question(shapes, { memory, referenceShapes: await other }));
  expect(refused.choice).toMatchObject({ name: undefined, leastRanks: undefined });
  const reload = refused.assessments.find(({ mechanism }) => mechanism.name === 'full, reload');
  expect(reload?.obstacles).toEqual(['The vocabularies differ: 32000 words, and 152064 of the reference.']);
});

test('one rank has nobody to share with, and times are relative to full training with a clone', async () => {
  const { assessments } = await ask('llama-2-7b', { memory: 256 * GiB });
  const by = (name: string) => assessments.find(({ mechanism }) => mechanism.name === name);
  expect(by('ZeRO-3, clone')?.obstacles).toEqual(['One rank has nobody to share with.']);
  expect(by('full, clone')?.time).toBe(1);
  // 8 operations for a weight and token are 2 for the reference, and 2 for gradients by weights
  expect(by('full, cached')?.time).toBeCloseTo(6 / 8, 1);
  expect(by('LoRA, adapters off')?.time).toBeCloseTo(6 / 8, 1);
});
