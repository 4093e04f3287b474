import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { writeSafetensors } from 'mooring';
import { type Adapter, readAdapter, writeAdapter } from '../../../plugins/peft-lora/folder/adapter.ts';
import { checkAdapter } from '../../../plugins/peft-lora/folder/check-adapter.ts';
import { type AdapterConfig, formatConfig, parseConfig } from '../../../plugins/peft-lora/folder/config.ts';
import { resolveTargets } from '../../../plugins/peft-lora/folder/targets.ts';
import { adapterFolder, expected, shapesOf } from './folder-support.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'mooring-peft-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.each(Object.entries(expected))('the folder that PEFT saved as %s', (name, { base, trainable_parameters }) => {
  test('fits its base, and holds as many parameters as PEFT trained', async () => {
    const adapter = await readAdapter(adapterFolder(name));
    checkAdapter(adapter, resolveTargets(adapter.config, shapesOf(base)), name);
    const count = [...adapter.tensors.values()].reduce((sum, { values }) => sum + values.length, 0);
    expect(count).toBe(trainable_parameters);
  });

  test('is written as PEFT wrote it: the weights byte for byte, the config key for key', async () => {
    const copy = path.join(scratch, name);
    await writeAdapter(copy, await readAdapter(adapterFolder(name)));
    const weights = 'adapter_model.safetensors';
    const [ours, theirs] = [copy, adapterFolder(name)].map((folder) => readFileSync(path.join(folder, weights)));
    expect(ours?.equals(theirs as Buffer)).toBe(true);
    const [written, saved] = [copy, adapterFolder(name)].map((folder) => readJson(folder));
    expect(written).toEqual(saved);
    expect(Object.keys(written as object)).toEqual(Object.keys(saved as object));
  });
});

test('every config comes back as it was written', () => {
  const name = fc.stringMatching(/^[a-z_]{1,8}(\.[a-z_0-9]{1,8}){0,2}$/);
  const names = fc.uniqueArray(name, { minLength: 1, maxLength: 4 });
  const patterns = fc.dictionary(name, fc.integer({ min: 1, max: 64 }), { maxKeys: 3 });
  const layers = fc.uniqueArray(fc.nat(40), { maxLength: 4 });
  const config = fc.record({
    r: fc.integer({ min: 1, max: 256 }),
    alpha: fc.double({ min: 0.5, max: 512, noNaN: true }),
    dropout: fc.double({ min: 0, max: 0.9, noNaN: true }),
    rslora: fc.boolean(),
    dora: fc.boolean(),
    targetModules: names,
    excludeModules: fc.option(fc.oneof(name, names), { nil: undefined }),
    rankPattern: patterns,
    alphaPattern: patterns,
    layersToTransform: layers,
    layersPattern: fc.uniqueArray(name, { maxLength: 2 }),
    modulesToSave: fc.uniqueArray(name, { maxLength: 2 }),
    bias: fc.constantFrom('none' as const, 'all' as const, 'lora_only' as const),
    fanInFanOut: fc.boolean(),
    initLoraWeights: fc.constantFrom(true, false, 'gaussian', 'pissa', 'pissa_niter_16'),
    base: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(config, (each: AdapterConfig) => {
      expect(parseConfig(JSON.parse(JSON.stringify(formatConfig(each))), 'x')).toEqual(each);
    }),
  );
});

test('every tensor comes back as it was written, and halves as float32', async () => {
  const { config } = await readAdapter(adapterFolder('qwen2_attention'));
  const shape = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }));
  const tensor = shape.chain(([rows, columns]) => {
    const values = fc.float32Array({ minLength: rows * columns, maxLength: rows * columns, noNaN: true });
    return values.map((each) => ({ shape: [rows, columns], values: each }));
  });
  const tensors = fc.dictionary(fc.stringMatching(/^[a-z.0-9]{1,12}$/), tensor, { minKeys: 1, maxKeys: 4 });
  await fc.assert(
    fc.asyncProperty(tensors, async (each) => {
      const folder = path.join(scratch, 'any');
      const adapter: Adapter = { config, tensors: new Map(Object.entries(each)) };
      await writeAdapter(folder, adapter);
      const read = await readAdapter(folder);
      expect(new Map([...read.tensors].sort())).toEqual(new Map([...adapter.tensors].sort()));
    }),
    { numRuns: 20 },
  );

  const folder = path.join(scratch, 'halves');
  cpSync(adapterFolder('qwen2_attention'), folder, { recursive: true });
  const file = path.join(folder, 'adapter_model.safetensors');
  const specs = (['bfloat16', 'float16'] as const).map((dtype) => ({
    name: `base_model.model.${dtype}`,
    dtype,
    shape: [2],
  }));
  await writeSafetensors(file, specs, () => Float32Array.of(0.5, -3));
  const read = await readAdapter(folder);
  expect([...read.tensors.values()].map(({ values }) => values)).toEqual([
    Float32Array.of(0.5, -3),
    Float32Array.of(0.5, -3),
  ]);
});

const features: Record<string, unknown> = {
  alora_invocation_tokens: [1],
  corda_config: { corda_method: 'ipm' },
  eva_config: { rho: 2 },
  init_lora_weights: 'eva',
  layer_replication: [[0, 4]],
  lora_bias: true,
  megatron_config: { hidden_size: 8 },
  peft_type: 'IA3',
  target_parameters: ['experts.up'],
  trainable_token_indices: [5],
  use_qalora: true,
  warp_factor: 9,
};

test.each(Object.entries(features))('%s is refused by its name', (key, value) => {
  const json = { ...readJson(adapterFolder('qwen2_attention')), [key]: value };
  expect(() => parseConfig(json, 'here/adapter_config.json')).toThrow(
    expect.objectContaining({ code: 'ADAPTER_FEATURE_UNSUPPORTED', message: expect.stringContaining(`"${key}"`) }),
  );
});

test('a key that a later PEFT adds, and that says nothing, is no obstacle', () => {
  const json = { ...readJson(adapterFolder('qwen2_attention')), use_warp: false, warp_config: null, warp: {} };
  expect(parseConfig(json, 'x')).toEqual(parseConfig(readJson(adapterFolder('qwen2_attention')), 'x'));
});

const wrong: Record<string, readonly [change: Record<string, unknown>, key: string]> = {
  'a rank of 0': [{ r: 0 }, 'r'],
  'a dropout of 1': [{ lora_dropout: 1 }, 'lora_dropout'],
  'no targets': [{ target_modules: null }, 'target_modules'],
  'a bias of another kind': [{ bias: 'some' }, 'bias'],
  'a rank in a pattern that is none': [{ rank_pattern: { q_proj: 0.5 } }, 'rank_pattern.q_proj'],
  'layers beside a regular expression': [
    { target_modules: '.*q_proj', layers_to_transform: [0] },
    'layers_to_transform',
  ],
  'a pattern of layers without layers': [{ layers_pattern: 'layers' }, 'layers_pattern'],
};

test.each(Object.entries(wrong))('%s is refused, and the key is named', (_, [change, key]) => {
  const json = { ...readJson(adapterFolder('qwen2_attention')), ...change };
  expect(() => parseConfig(json, 'x')).toThrow(
    expect.objectContaining({ code: 'ADAPTER_CONFIG_INVALID', message: expect.stringContaining(`"${key}"`) }),
  );
});

test.each(['adapter_config.json', 'adapter_model.safetensors'])('a folder without %s is refused', async (file) => {
  const folder = path.join(scratch, `without-${file}`);
  cpSync(adapterFolder('qwen2_attention'), folder, { recursive: true });
  rmSync(path.join(folder, file));
  const message = expect.stringContaining(path.join(folder, file));
  await expect(readAdapter(folder)).rejects.toMatchObject({ code: 'ADAPTER_FILE_MISSING', message });
});

test.each(['{', '[1]', 'null'])('a config of %s is refused', async (text) => {
  const folder = path.join(scratch, 'malformed');
  cpSync(adapterFolder('qwen2_attention'), folder, { recursive: true });
  writeFileSync(path.join(folder, 'adapter_config.json'), text);
  await expect(readAdapter(folder)).rejects.toMatchObject({ code: 'ADAPTER_CONFIG_MALFORMED' });
});

describe('an adapter that does not fit its model', () => {
  const key = 'model.layers.0.self_attn.q_proj.lora_A.weight';
  const changed = async (
    change: (tensors: Map<string, { shape: readonly number[]; values: Float32Array }>) => void,
  ) => {
    const adapter = await readAdapter(adapterFolder('qwen2_attention'));
    const tensors = new Map(adapter.tensors);
    change(tensors);
    return () => checkAdapter({ ...adapter, tensors }, resolveTargets(adapter.config, shapesOf('qwen2')), 'file');
  };

  test('by a key that nothing takes is refused with the three nearest', async () => {
    const misspelt = key.replace('q_proj', 'q_prj');
    const check = await changed((tensors) => {
      tensors.set(misspelt, tensors.get(key) as never);
      tensors.delete(key);
    });
    const nearest = new RegExp(`"${misspelt}".*nearest .* are ${key}`);
    expect(check).toThrow(
      expect.objectContaining({ code: 'ADAPTER_KEY_UNMATCHED', message: expect.stringMatching(nearest) }),
    );
  });

  test('by a missing key is refused', async () => {
    const check = await changed((tensors) => tensors.delete(key));
    expect(check).toThrow(
      expect.objectContaining({ code: 'ADAPTER_KEY_MISSING', message: expect.stringContaining(key) }),
    );
  });

  test('by a shape is refused with both shapes', async () => {
    const check = await changed((tensors) => tensors.set(key, { shape: [8, 47], values: new Float32Array(376) }));
    const message = expect.stringContaining('has shape [8, 47], and config and model make it [8, 48]');
    expect(check).toThrow(expect.objectContaining({ code: 'ADAPTER_TENSOR_MISSHAPEN', message }));
  });
});

test('a weight that PEFT saves beside a targeted embedding is taken, and need not be there', async () => {
  const adapter = await readAdapter(adapterFolder('llama_embed_tokens'));
  const layout = resolveTargets(adapter.config, shapesOf('llama'));
  const copy = { shape: [384, 48], values: new Float32Array(384 * 48) };
  const tensors = new Map([...adapter.tensors, ['model.embed_tokens.base_layer.weight', copy]]);
  expect(() => checkAdapter({ ...adapter, tensors }, layout, 'file')).not.toThrow();
});

test('an unreadable type of weights is refused', async () => {
  const folder = path.join(scratch, 'integers');
  cpSync(adapterFolder('qwen2_attention'), folder, { recursive: true });
  const file = path.join(folder, 'adapter_model.safetensors');
  await writeSafetensors(file, [{ name: 'x', dtype: 'int32', shape: [1] }], () => Int32Array.of(1));
  await expect(readAdapter(folder)).rejects.toMatchObject({ code: 'ADAPTER_TENSOR_INTEGER' });
});

function readJson(folder: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path.join(folder, 'adapter_config.json'), 'utf8'));
}
