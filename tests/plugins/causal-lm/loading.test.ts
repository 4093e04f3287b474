import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { openWeights, type ParameterStore, writeSafetensors } from 'mooring';
import { failureOf } from '../../core/support.ts';
import { fixture, withModel } from './support.ts';

/** A copy of a fixture to spoil. */
function copyOf(name: string): string {
  const target = path.join(mkdtempSync(path.join(tmpdir(), 'mooring-model-')), name);
  cpSync(fixture(name), target, { recursive: true });
  return target;
}

/** Rewrites the weights of a folder with other names or shapes; `undefined` leaves a tensor out. */
async function rewrite(
  folder: string,
  change: (name: string, shape: readonly number[]) => readonly [string, readonly number[]] | undefined,
) {
  const source = await openWeights(folder);
  const changed = [...source.entries].flatMap(([name, { shape }]) => {
    const to = change(name, shape);
    return to === undefined ? [] : [{ name: to[0], shape: to[1], dtype: 'float32', from: name } as const];
  });
  const values = new Map<string, Float32Array>();
  for (const { name, from, shape } of changed) {
    const size = shape.reduce((product, each) => product * each, 1);
    const read = (await source.readTensor(from)) as Float32Array;
    values.set(
      name,
      Float32Array.from({ length: size }, (_, at) => read[at] ?? 0),
    );
  }
  await source.close();
  rmSync(path.join(folder, 'model.safetensors'));
  await writeSafetensors(path.join(folder, 'model.safetensors'), changed, (name) => values.get(name) as Float32Array);
}

function edit(folder: string, changes: Record<string, unknown>): void {
  const file = path.join(folder, 'config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...changes }));
}

const refusal = (folder: string) => failureOf(() => withModel(folder, 'cpu', async () => undefined));

const query = 'model.layers.1.self_attn.q_proj.weight';
const weights: Record<string, [code: string, says: string, change: Parameters<typeof rewrite>[1]]> = {
  'a weight that is missing': [
    'MODEL_WEIGHT_MISSING',
    query,
    (name, shape) => (name === query ? undefined : [name, shape]),
  ],
  'a weight that is misspelt names the nearest': [
    'MODEL_WEIGHT_MISSING',
    'model.layers.1.self_attn.qproj.weight',
    (name, shape) => [name === query ? 'model.layers.1.self_attn.qproj.weight' : name, shape],
  ],
  'a weight of another shape': [
    'MODEL_WEIGHT_MISSHAPEN',
    query,
    (name, shape) => [name, name === query ? [48, 24] : shape],
  ],
};
test.each(Object.entries(weights))('%s', async (_, [code, says, change]) => {
  const folder = copyOf('qwen2');
  await rewrite(folder, change);
  const error = await refusal(folder);
  expect({ code: error.code, says: error.message.includes(says) }).toEqual({ code, says: true });
});

test('a weight too many is named, with the nearest that is known', async () => {
  const folder = copyOf('qwen2');
  edit(folder, { num_hidden_layers: 2, layer_types: ['full_attention', 'full_attention'] });
  const { code, message } = await refusal(folder);
  expect(code).toBe('MODEL_WEIGHT_UNEXPECTED');
  expect(message).toMatch(/model\.layers\.2\./);
});

const figuresOf = (folder: string) => withModel(folder, 'cpu', ({ store }) => store.fingerprint('policy'));

test("a checkpoint that leaves the prefix out, as gpt2's own does, with masks and a second head, is the same model", async () => {
  const folder = copyOf('gpt2');
  await rewrite(folder, (name, shape) => [name.replace(/^transformer\./, ''), shape]);
  const bare = await figuresOf(folder);
  expect(bare).toBe(await figuresOf(fixture('gpt2')));

  const source = await openWeights(folder);
  const specs = [...source.entries].map(([name, { shape }]) => ({ name, shape, dtype: 'float32' }) as const);
  const extra = (name: string, shape: number[]) => ({ name, shape, dtype: 'float32' }) as const;
  const more = [
    extra('h.0.attn.bias', [1, 1, 2, 2]),
    extra('h.0.attn.masked_bias', [1]),
    extra('lm_head.weight', [384, 48]),
  ];
  const values = new Map<string, Float32Array>();
  for (const { name } of specs) values.set(name, (await source.readTensor(name)) as Float32Array);
  for (const { name, shape } of more) values.set(name, new Float32Array(shape.reduce((a, b) => a * b)));
  await source.close();
  await writeSafetensors(
    path.join(folder, 'model.safetensors'),
    [...specs, ...more],
    (name) => values.get(name) as Float32Array,
  );
  expect(await figuresOf(folder)).toBe(bare);
});

const configs: Record<string, [code: string, says: RegExp, changes: Record<string, unknown>]> = {
  'an unknown family lists the known ones': [
    'MODEL_FAMILY_UNKNOWN',
    /gpt2, llama, mistral, qwen2, qwen3/,
    { model_type: 'mamba' },
  ],
  'an unknown activation': ['MODEL_ACTIVATION_UNKNOWN', /mish/, { hidden_act: 'mish' }],
  'a number that is none': ['MODEL_CONFIG_INVALID', /hidden_size/, { hidden_size: 'wide' }],
  'quantised weights': ['MODEL_SETTING_UNSUPPORTED', /quantization_config/, { quantization_config: { bits: 4 } }],
};
test.each(Object.entries(configs))('%s', async (_, [code, says, changes]) => {
  const folder = copyOf('qwen2');
  edit(folder, changes);
  const error = await refusal(folder);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(says);
});

test('a folder without config.json, or with half of one, says so', async () => {
  const folder = copyOf('qwen2');
  writeFileSync(path.join(folder, 'config.json'), '{ "model_type": "qwen2", ');
  expect((await refusal(folder)).code).toBe('MODEL_CONFIG_MALFORMED');
  rmSync(path.join(folder, 'config.json'));
  expect((await refusal(folder)).code).toBe('MODEL_CONFIG_MISSING');
});

test('a random start needs only config.json, and is the same for the same seed', async () => {
  const folder = copyOf('qwen2');
  rmSync(path.join(folder, 'model.safetensors'));
  const fingerprint = () =>
    withModel(folder, 'cpu', ({ store }: { store: ParameterStore }) => store.fingerprint('policy'), {
      initialize: 'random',
    });
  expect(await fingerprint()).toBe(await fingerprint());
});
