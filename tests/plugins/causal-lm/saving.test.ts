import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { alone, createTrainer, Model, openWeights, ParameterStore, partOf } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { inRanks } from 'mooring/testing';
import { readConfig } from '../../../plugins/causal-lm/config.ts';
import { saveModel } from '../../../plugins/causal-lm/save.ts';
import { heldInRanges } from '../../core/parameters/sharded.ts';
import { failureOf } from '../../core/support.ts';
import { fixture, fixtureNames, withModel } from './support.ts';

const folder = () => mkdtempSync(path.join(tmpdir(), 'mooring-save-'));

/** Loads a fixture and saves it again. */
function resave(
  name: string,
  target: string,
  dtype: 'float32' | 'bfloat16',
  read?: () => Promise<never>,
): Promise<void> {
  return withModel(fixture(name), 'cpu', ({ model, store }) =>
    saveModel(
      target,
      {
        source: fixture(name),
        config: readConfig(fixture(name)),
        parameters: model.parameters,
        dtype,
        part: (parameter) => ({ ...partOf(store, parameter, 'policy', alone), ...(read && { read }) }),
      },
      alone,
    ),
  );
}

test.each(fixtureNames)('a saved folder holds the weights that were loaded, bit for bit: %s', async (name) => {
  const target = path.join(folder(), 'model');
  const dtype = name === 'llama-bf16-sharded' ? 'bfloat16' : 'float32';
  await resave(name, target, dtype);
  const [saved, original] = [await openWeights(target), await openWeights(fixture(name))];
  expect([...saved.entries.keys()].sort()).toEqual([...original.entries.keys()].sort());
  for (const parameter of saved.entries.keys()) {
    const [ours, theirs] = [await saved.readTensor(parameter), await original.readTensor(parameter)];
    expect(
      Buffer.from(ours.buffer, ours.byteOffset, ours.byteLength).equals(
        Buffer.from(theirs.buffer, theirs.byteOffset, theirs.byteLength),
      ),
    ).toBe(true);
  }
  await saved.close();
  await original.close();
  const config = JSON.parse(readFileSync(path.join(target, 'config.json'), 'utf8'));
  expect(config).toEqual({ ...JSON.parse(readFileSync(path.join(fixture(name), 'config.json'), 'utf8')), dtype });
});

test('weights saved in bfloat16 are the nearest ones that have 8 bits', async () => {
  const target = path.join(folder(), 'model');
  await resave('qwen2', target, 'bfloat16');
  const [saved, original] = [await openWeights(target), await openWeights(fixture('qwen2'))];
  for (const [parameter, { dtype }] of saved.entries) {
    const [ours, exact] = [await saved.readTensor(parameter), await original.readTensor(parameter)];
    // half a unit in the last of 8 bits is at most 2^-8 of the value
    const isNearest = exact.every((value, at) => Math.abs(value - (ours[at] as number)) <= 2 ** -8 * Math.abs(value));
    expect([parameter, dtype, isNearest]).toEqual([parameter, 'BF16', true]);
  }
  await saved.close();
  await original.close();
});

test('a disk that fills up while saving leaves the old folder, and nothing beside it', async () => {
  const parent = folder();
  const target = path.join(parent, 'model');
  await resave('qwen2', target, 'float32');
  writeFileSync(path.join(target, 'mark'), 'old');
  const full = Object.assign(new RangeError('no space left on device'), { code: 'ENOSPC' });
  const error = await failureOf(() => resave('qwen2', target, 'float32', () => Promise.reject(full)));
  expect(error.code).toBe('DISK_FULL');
  expect(readFileSync(path.join(target, 'mark'), 'utf8')).toBe('old');
  expect(readdirSync(parent)).toEqual(['model']);
});

test.each([
  ['float32', 'qwen2', 2],
  ['bfloat16', 'llama-bf16-sharded', 3],
  ['float16', 'gpt2', 4],
] as const)('ranks that hold parts write the folder that one writes, byte for byte: %s', async (dtype, name, ranks) => {
  const [one, together] = [path.join(folder(), 'model'), path.join(folder(), 'model')];
  const uses = { model: Model, store: ParameterStore } as const;
  for (const [target, count] of [
    [one, 1],
    [together, ranks],
  ] as const)
    await inRanks(count, (collectives) =>
      createTrainer({ model: fixture(name), train: { engine: 'cpu' } })
        .use(causalLm(), heldInRanges(collectives))
        .withServices(uses, ({ model, store }) => {
          const { parameters } = model;
          const saved = { source: fixture(name), config: readConfig(fixture(name)), parameters, dtype };
          return saveModel(
            target,
            { ...saved, part: (parameter) => partOf(store, parameter, 'policy', collectives) },
            collectives,
          );
        }),
    );
  const files = readdirSync(one);
  expect(readdirSync(together)).toEqual(files);
  const differing = files.filter(
    (file) => !readFileSync(path.join(together, file)).equals(readFileSync(path.join(one, file))),
  );
  expect(differing).toEqual([]);
});
