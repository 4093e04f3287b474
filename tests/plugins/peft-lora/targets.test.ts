import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AdapterConfig } from '../../../plugins/peft-lora/folder/config.ts';
import { isTargeted, patternValue, pythonRegExp } from '../../../plugins/peft-lora/folder/match-names.ts';
import { resolveTargets } from '../../../plugins/peft-lora/folder/targets.ts';
import { shapesOf } from './folder-support.ts';

const plain: AdapterConfig = {
  r: 8,
  alpha: 16,
  dropout: 0,
  rslora: false,
  dora: false,
  targetModules: ['q_proj'],
  rankPattern: {},
  alphaPattern: {},
  layersPattern: [],
  modulesToSave: [],
  bias: 'none',
  fanInFanOut: false,
  initLoraWeights: true,
};
const resolve = (change: Partial<AdapterConfig>, model = 'qwen2') =>
  resolveTargets({ ...plain, ...change }, shapesOf(model));
const namesOf = (change: Partial<AdapterConfig>, model?: string) =>
  resolve(change, model).targets.map(({ name }) => name);
const layers = [0, 1, 2];

describe('target modules', () => {
  test('of a list are names or their ends, part by part', () => {
    expect(namesOf({ targetModules: ['q_proj'] })).toEqual(layers.map((at) => `model.layers.${at}.self_attn.q_proj`));
    expect(namesOf({ targetModules: ['1.self_attn.q_proj', 'model.layers.2.mlp.up_proj'] })).toEqual([
      'model.layers.1.self_attn.q_proj',
      'model.layers.2.mlp.up_proj',
    ]);
    const code = 'ADAPTER_TARGET_UNMATCHED';
    expect(() => namesOf({ targetModules: ['_proj'] })).toThrow(expect.objectContaining({ code }));
  });

  test('of a text are a regular expression for the whole name', () => {
    expect(namesOf({ targetModules: String.raw`model\.layers\.[02]\..*\.(?P<which>up|down)_proj` })).toEqual(
      [0, 2].flatMap((at) => [`model.layers.${at}.mlp.up_proj`, `model.layers.${at}.mlp.down_proj`]),
    );
    expect(() => namesOf({ targetModules: 'q_proj' })).toThrow(
      expect.objectContaining({ code: 'ADAPTER_TARGET_UNMATCHED' }),
    );
  });

  test('of all-linear are every linear but the head, tied or not, and no embedding', () => {
    for (const model of ['qwen2', 'llama']) expect(namesOf({ targetModules: 'all-linear' }, model)).toHaveLength(21);
    const gpt2 = namesOf({ targetModules: 'all-linear' }, 'gpt2');
    expect(gpt2.slice(0, 4).map((name) => name.replace('transformer.h.0.', ''))).toEqual([
      ...['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj'],
    ]);
    expect(gpt2).toHaveLength(12);
  });

  test('include a head, which is another module than the embedding that it is tied to', () => {
    const { targets, baseCopies } = resolve({ targetModules: ['lm_head', 'embed_tokens'] });
    const found = targets.map(({ name, kind, weight, inputs, outputs }) => [name, kind, weight, inputs, outputs]);
    expect(found).toEqual([
      ['model.embed_tokens', 'embedding', 'model.embed_tokens.weight', 384, 48],
      ['lm_head', 'linear', 'model.embed_tokens.weight', 48, 384],
    ]);
    expect(baseCopies.map(({ key }) => key)).toEqual([
      'model.embed_tokens.base_layer.weight',
      'lm_head.base_layer.weight',
    ]);
  });

  test('leave out what is excluded and what is saved whole', () => {
    const targetModules = ['q_proj', 'up_proj'];
    expect(namesOf({ targetModules, excludeModules: ['layers.0.self_attn.q_proj', 'up_proj'] })).toEqual(
      [1, 2].map((at) => `model.layers.${at}.self_attn.q_proj`),
    );
    expect(namesOf({ targetModules, excludeModules: '.*layers.[01].*', modulesToSave: ['mlp'] })).toEqual([
      'model.layers.2.self_attn.q_proj',
    ]);
  });

  test('are kept to some layers, unless they are whole names', () => {
    expect(namesOf({ layersToTransform: [2] })).toEqual(['model.layers.2.self_attn.q_proj']);
    expect(namesOf({ layersToTransform: [2], layersPattern: ['h', 'layers'] })).toEqual([
      'model.layers.2.self_attn.q_proj',
    ]);
    expect(namesOf({ targetModules: ['model.layers.0.mlp.up_proj', 'q_proj'], layersToTransform: [1] })).toEqual([
      'model.layers.0.mlp.up_proj',
      'model.layers.1.self_attn.q_proj',
    ]);
  });
});

test('ranks and alphas are those of the first pattern that matches the end of the name', () => {
  const rankPattern = { 'layers.1.self_attn.q_proj': 4, '[qk]_proj': 2 };
  const { targets } = resolve({ targetModules: ['q_proj'], rankPattern, alphaPattern: { q_proj: 3 } });
  expect(targets.map(({ r, alpha, scaling }) => [r, alpha, scaling])).toEqual([
    [2, 3, 1.5],
    [4, 3, 0.75],
    [2, 3, 1.5],
  ]);
  expect(resolve({ r: 16, rslora: true }).targets[0]?.scaling).toBe(4);
});

describe('what is saved beside LoRA', () => {
  const keysOf = (change: Partial<AdapterConfig>, model?: string) => resolve(change, model).saved.map(({ key }) => key);

  test('is whole modules by the ends of their names, containers and norms too', () => {
    expect(keysOf({ modulesToSave: ['lm_head'] }, 'llama')).toEqual(['lm_head.weight']);
    expect(keysOf({ modulesToSave: ['lm_head'] }, 'qwen2')).toEqual(['lm_head.weight']);
    expect(keysOf({ modulesToSave: ['model.norm', 'layers.1.mlp'] })).toEqual([
      ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `model.layers.1.mlp.${name}.weight`),
      'model.norm.weight',
    ]);
  });

  test('is the biases of the targets, or all', () => {
    expect(keysOf({ bias: 'lora_only' })).toEqual(
      layers.map((at) => `model.layers.${at}.self_attn.q_proj.base_layer.bias`),
    );
    const all = keysOf({ bias: 'all' });
    expect(all.slice(0, 3)).toEqual([
      'model.layers.0.self_attn.q_proj.base_layer.bias',
      'model.layers.0.self_attn.k_proj.bias',
      'model.layers.0.self_attn.v_proj.bias',
    ]);
    expect(keysOf({ bias: 'all', targetModules: ['c_attn'] }, 'gpt2')).toContain('transformer.h.0.ln_1.bias');
  });
});

const unmatched: Record<string, readonly [change: Partial<AdapterConfig>, says: string]> = {
  'a name': [{ targetModules: ['q_poj'] }, '"target_modules": q_poj .* model.layers.0.self_attn.q_proj, '],
  'a regular expression': [{ targetModules: 'q_proj' }, '"target_modules": q_proj'],
  'a module to save': [{ modulesToSave: ['lm_hed'] }, '"modules_to_save": lm_hed .* nearest names are lm_head, '],
  'a layer': [{ layersToTransform: [0, 7] }, '"layers_to_transform": 7'],
  'a pattern of ranks': [{ rankPattern: { k_proj: 4 } }, '"rank_pattern": k_proj'],
};

test.each(Object.entries(unmatched))('%s that matches nothing is refused with the nearest', (_, [change, says]) => {
  const message = expect.stringMatching(new RegExp(says));
  expect(() => resolve(change)).toThrow(expect.objectContaining({ code: 'ADAPTER_TARGET_UNMATCHED', message }));
});

test('what is no regular expression, and DoRA on an embedding, are refused', () => {
  const invalid = { code: 'ADAPTER_PATTERN_INVALID', message: expect.stringContaining('"target_modules": (q_proj') };
  expect(() => resolve({ targetModules: '(q_proj' })).toThrow(expect.objectContaining(invalid));
  const embedding = { code: 'ADAPTER_EMBEDDING_UNSUPPORTED' };
  expect(() => resolve({ dora: true, targetModules: ['embed_tokens'] })).toThrow(expect.objectContaining(embedding));
});

describe("PEFT's rules, said anew", () => {
  const part = fc.constantFrom('model', 'layers', '0', '1', '12', 'self_attn', 'q_proj', 'k_proj', 'proj');
  const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));

  test('a name of a list matches where it is the last parts of a module', () => {
    fc.assert(
      fc.property(name, fc.uniqueArray(name, { minLength: 1, maxLength: 3 }), (module, targetModules) => {
        const parts = module.split('.');
        const ends = parts.map((_, at) => parts.slice(at).join('.'));
        const config = { ...plain, targetModules };
        expect(isTargeted(config, module)).toBe(targetModules.some((each) => ends.includes(each)));
      }),
    );
  });

  test('a layer is the first number that follows two other parts', () => {
    fc.assert(
      fc.property(
        name,
        fc.uniqueArray(fc.constantFrom<number>(0, 1, 12), { minLength: 1 }),
        (module, layersToTransform) => {
          const parts = module.split('.');
          const at = parts.findIndex((each, index) => index >= 2 && /^\d+$/.test(each) && index < parts.length - 1);
          const end = parts.at(-1) as string;
          const isWhole = module === end;
          const expected = isWhole || layersToTransform.includes(Number(parts[at]));
          expect(isTargeted({ ...plain, targetModules: [end], layersToTransform }, module)).toBe(expected);
        },
      ),
    );
  });

  test('a pattern matches from the beginning of a part to the end', () => {
    expect(patternValue({ proj: 1, '.*proj': 2 }, 'a.q_proj', 3)).toBe(2);
    expect(patternValue({ 'a.q': 1, '^q_proj': 2 }, 'a.q_proj', 3)).toBe(3);
    expect(patternValue({ 'q_proj|k_proj': 1 }, 'a.b.k_proj', 3)).toBe(1);
  });

  test('what Python writes otherwise is understood', () => {
    expect(pythonRegExp(String.raw`(?i)\AQ_(?P<x>p)roj(?P=x)\Z`).test('q_projp')).toBe(true);
    expect(pythonRegExp('a|b').test('ab')).toBe(false);
  });
});
