import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openSafetensors } from 'mooring';
import { readAdapter, writeAdapter } from '../../../plugins/peft-lora/folder/adapter.ts';
import { addsToBase } from '../../../plugins/peft-lora/folder/adds-to-base.ts';
import { convertPissa } from '../../../plugins/peft-lora/folder/convert-pissa.ts';
import { lowRanksOf, updateRows } from '../../../plugins/peft-lora/folder/low-rank.ts';
import { openBase } from '../../../plugins/peft-lora/folder/open-base.ts';
import { resolveTargets } from '../../../plugins/peft-lora/folder/targets.ts';
import { runHere } from '../../cli/support.ts';
import { adapterFolder, distance, expected, modelFolder, readTensor, shapesOf } from './folder-support.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'mooring-adapter-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const place = (name: string) => path.join(scratch, name);

/** The tolerance of the fixtures' README. */
const within = 2e-4;

describe.each(Object.entries(expected))('%s', (name, { base, max_abs_merged_minus_enabled: mergeError }) => {
  const tokens = path.join(modelFolder(base), 'expected.safetensors');
  const score = async (args: readonly string[]) => {
    const output = place(`${name}.safetensors`);
    const printed = await runHere('score', ...args, '--tokens', tokens, '--logits', '--output', output);
    expect(printed).toEqual({ code: 0, out: '', err: '' });
    return { logits: await readTensor(output, 'logits'), logps: await readTensor(output, 'token_logps') };
  };

  test("merged into its base and beside it gives PEFT's logits, both the same", async () => {
    const enabled = await readTensor(path.join(adapterFolder(name), 'expected.safetensors'), 'logits_enabled');
    const beside = await score(['--model', modelFolder(base), '--adapter', adapterFolder(name)]);
    expect(distance(beside.logits, enabled)).toBeLessThan(within);

    const output = place(`${name}-merged`);
    const args = ['--model', modelFolder(base), '--adapter', adapterFolder(name), '--output', output];
    const printed = await runHere('adapter', 'merge', ...args);
    expect(printed).toMatchObject({ code: 0, err: '' });
    const merged = await score(['--model', output]);
    expect(distance(merged.logits, enabled)).toBeLessThan(within);
    // what merging itself may cost: as much as it costs PEFT, and as much again for another order of sums
    expect(distance(merged.logits, beside.logits)).toBeLessThan(2 * mergeError);
  });
});

test('a merged model has the files of its base, in the type that is asked for', async () => {
  const base = place('base');
  cpSync(modelFolder('llama-bf16-sharded'), base, { recursive: true });
  copyFileSync(path.join(modelFolder('../trl/tokenizer'), 'tokenizer.json'), path.join(base, 'tokenizer.json'));
  const dtypes = async (folder: string) => {
    const source = await openSafetensors(path.join(folder, 'model.safetensors'));
    await source.close();
    return [...new Set([...source.entries.values()].map(({ dtype }) => dtype))];
  };
  const args = ['--model', base, '--adapter', adapterFolder('llama_regex')];
  await runHere('adapter', 'merge', ...args, '--output', place('as-base'));
  expect(readdirSync(place('as-base')).sort()).toEqual([
    ...['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'],
  ]);
  expect(await dtypes(place('as-base'))).toEqual(['BF16']);
  expect(readConfig('as-base')).toEqual(readConfig('base'));
  await runHere('adapter', 'merge', ...args, '--dtype', 'float32', '--output', place('wide'));
  expect(await dtypes(place('wide'))).toEqual(['F32']);
  expect(readConfig('wide').dtype).toBe('float32');
});

test('a head that its adapter parts from the embedding is written for itself', async () => {
  const adapter = await readAdapter(adapterFolder('qwen2_attention'));
  const head = await readTensor(path.join(modelFolder('qwen2'), 'model.safetensors'), 'model.embed_tokens.weight');
  const other = { shape: [384, 48], values: head.map((value) => 2 * value) };
  const config = { ...adapter.config, modulesToSave: ['lm_head'] };
  await writeAdapter(place('own-head'), { config, tensors: new Map([...adapter.tensors, ['lm_head.weight', other]]) });
  const output = place('untied');
  await runHere(
    'adapter',
    'merge',
    '--model',
    modelFolder('qwen2'),
    '--adapter',
    place('own-head'),
    '--output',
    output,
  );
  expect(readConfig('untied').tie_word_embeddings).toBe(false);
  const file = path.join(output, 'model.safetensors');
  expect(await readTensor(file, 'lm_head.weight')).toEqual(other.values);
  expect(await readTensor(file, 'model.embed_tokens.weight')).toEqual(head);
});

describe('adapter info', () => {
  test('says what an adapter is made of', async () => {
    const { out } = await runHere('adapter', 'info', adapterFolder('qwen2_patterns'), '--json');
    expect(JSON.parse(out)).toMatchObject({
      modules: {
        q_proj: { count: 2, ranks: [4, 6], scalings: [8 / 6, 2] },
        down_proj: { count: 2, ranks: [2], scalings: [1.5] },
      },
      parameters: expected.qwen2_patterns?.trainable_parameters,
      addsToBase: true,
    });
    const forPeople = await runHere('adapter', 'info', adapterFolder('qwen2_dora'));
    expect(forPeople.out).toMatch(/^kind +DoRA, r 4, alpha 8/m);
    expect(forPeople.out).toMatch(/^adds +yes$/m);
  });

  test('tells by content whether an adapter adds anything', async () => {
    const adapter = await readAdapter(adapterFolder('qwen2_attention'));
    const zeroed = [...adapter.tensors].map(([key, { shape, values }]) => {
      return [key, { shape, values: key.includes('lora_B') ? new Float32Array(values.length) : values }] as const;
    });
    await writeAdapter(place('zero'), { ...adapter, tensors: new Map(zeroed) });
    const { out } = await runHere('adapter', 'info', place('zero'));
    expect(out).toMatch(/^adds +no: it computes what its base does$/m);
  });

  test('needs the base to tell where biases and magnitudes are all that could differ', async () => {
    const adapter = await readAdapter(adapterFolder('qwen2_dora'));
    const model = shapesOf('qwen2');
    const layout = resolveTargets(adapter.config, model);
    const base = await openBase(modelFolder('qwen2'), model);
    const tensors = new Map(adapter.tensors);
    for (const { name, weight, inputs, outputs } of layout.targets) {
      const values = await base.read(weight);
      const norm = (row: number) => Math.hypot(...values.subarray(row * inputs, (row + 1) * inputs));
      tensors.set(`${name}.lora_B.weight`, { shape: [outputs, 4], values: new Float32Array(4 * outputs) });
      tensors.set(`${name}.lora_magnitude_vector`, {
        shape: [outputs],
        values: Float32Array.from({ length: outputs }, (_, row) => norm(row)),
      });
    }
    const fresh = { ...adapter, tensors };
    expect(await addsToBase(fresh)).toBeUndefined();
    expect(await addsToBase(fresh, { layout, read: base.read })).toBe(false);
    const key = `${layout.targets[0]?.name}.lora_magnitude_vector`;
    const scaled = {
      shape: [48],
      values: tensors.get(key)?.values.map((value) => 1.01 * value) ?? new Float32Array(48),
    };
    expect(
      await addsToBase({ ...fresh, tensors: new Map([...tensors, [key, scaled]]) }, { layout, read: base.read }),
    ).toBe(true);
    await base.close();
    await writeAdapter(place('fresh-dora'), fresh);
    const { out } = await runHere('adapter', 'info', place('fresh-dora'));
    expect(out).toMatch(/^adds +give --model/m);
  });
});

describe('adapter diff', () => {
  test('of an adapter with itself is 0 everywhere', async () => {
    const { out } = await runHere('adapter', 'diff', adapterFolder('qwen2_dora'), adapterFolder('qwen2_dora'));
    expect(out).toContain('They add the same.');
  });

  test('compares the products, not the factors', async () => {
    const adapter = await readAdapter(adapterFolder('qwen2_attention'));
    const rescaled = [...adapter.tensors].map(([key, { shape, values }]) => {
      return [key, { shape, values: values.map((value) => value * (key.includes('lora_A') ? 4 : 0.5)) }] as const;
    });
    const config = { ...adapter.config, alpha: 8 };
    await writeAdapter(place('rescaled'), { config, tensors: new Map(rescaled) });
    const { out } = await runHere('adapter', 'diff', adapterFolder('qwen2_attention'), place('rescaled'), '--json');
    const { config: settings, modules } = JSON.parse(out);
    expect(settings).toEqual({ alpha: [16, 8] });
    for (const { first, difference } of Object.values<{ first: number; difference: number }>(modules)) {
      expect(first).toBeGreaterThan(1);
      expect(difference).toBe(0);
    }
  });

  test('refuses adapters of other shapes', async () => {
    const { code, err } = await runHere(
      'adapter',
      'diff',
      adapterFolder('qwen2_attention'),
      adapterFolder('llama_regex'),
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const other = await readAdapter(adapterFolder('qwen2_attention'));
    const key = 'model.layers.0.self_attn.q_proj.lora_B.weight';
    const tensors = new Map([...other.tensors, [key, { shape: [47, 8], values: new Float32Array(376) }]]);
    await writeAdapter(place('narrow'), { ...other, tensors });
    const printed = await runHere('adapter', 'diff', adapterFolder('qwen2_attention'), place('narrow'));
    expect(printed.err).toMatch(
      /^ADAPTERS_INCOMPARABLE: Of "model\.layers\.0\.self_attn\.q_proj" .*\[48, 48\].*\[47, 48\]/,
    );
  });
});

test('PiSSA becomes plain LoRA of twice the rank, which adds what training changed', async () => {
  const initial = await readAdapter(adapterFolder('qwen2_patterns'));
  const tensors = [...initial.tensors].map(([key, { shape, values }]) => {
    return [key, { shape, values: values.map((value, at) => value + 0.01 * Math.sin(at)) }] as const;
  });
  const trained = { config: { ...initial.config, initLoraWeights: 'pissa' }, tensors: new Map(tensors) };
  const converted = convertPissa(trained, initial);
  expect(converted.config).toMatchObject({ r: 8, alpha: 16, initLoraWeights: true, rankPattern: { down_proj: 4 } });
  const [before, after, change] = [initial, trained, converted].map((each) => lowRanksOf(each));
  for (const [name, update] of change as ReturnType<typeof lowRanksOf>) {
    const rows = [before?.get(name), after?.get(name), update].map((each) => [...copies(each as typeof update)]);
    const [start, end, difference] = rows.map((each) => each.flatMap((row) => [...row]));
    expect(
      distance(
        difference as number[],
        (end as number[]).map((value, at) => value - (start?.[at] as number)),
      ),
    ).toBeLessThan(1e-12);
  }
  expect(() => convertPissa({ ...trained, config: { ...trained.config, dora: true } }, initial)).toThrow(
    expect.objectContaining({ code: 'ADAPTER_CONVERSION_REFUSED' }),
  );
});

const merging = (change: Record<string, string>) => {
  const given = {
    model: modelFolder('qwen2'),
    adapter: adapterFolder('qwen2_attention'),
    output: place('none'),
    ...change,
  };
  return ['adapter', 'merge', ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, value])];
};
const pissa = () => {
  cpSync(adapterFolder('qwen2_attention'), place('pissa'), { recursive: true });
  const file = path.join(place('pissa'), 'adapter_config.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"init_lora_weights": true', '"init_lora_weights": "pissa"'));
  return place('pissa');
};
const mistakes: Record<string, () => readonly [args: string[], code: string, says: string, exit?: number]> = {
  'an adapter that is not there': () => [
    merging({ adapter: 'nowhere' }),
    'ADAPTER_FILE_MISSING',
    'nowhere/adapter_config.json',
  ],
  'an adapter of another base': () => [
    merging({ adapter: adapterFolder('gpt2_conv1d') }),
    'ADAPTER_TARGET_UNMATCHED',
    'c_attn',
  ],
  'a base that is not there': () => [merging({ model: 'modle' }), 'MODEL_CONFIG_MISSING', 'modle'],
  'an output that is there': () => [merging({ output: adapterFolder('.') }), 'ADAPTER_OUTPUT_TAKEN', 'fixtures/peft'],
  'an output that is a file': () => [
    merging({ output: adapterFolder('expected.json') }),
    'ADAPTER_OUTPUT_TAKEN',
    'expected.json',
  ],
  'a type that is none': () => [merging({ dtype: 'int8' }), 'COMMAND_OPTION_INVALID', '--dtype', 2],
  'an adapter whose base was changed': () => [merging({ adapter: pissa() }), 'ADAPTER_BASE_CHANGED', 'pissa'],
  'an adapter to score with whose base was changed': () => [
    [
      ...['score', '--model', modelFolder('qwen2'), '--adapter', pissa(), '--output', place('none')],
      ...['--tokens', path.join(modelFolder('qwen2'), 'expected.safetensors')],
    ],
    'ADAPTER_BASE_CHANGED',
    'pissa',
  ],
  'an adapter to score with that is not there': () => [
    [
      'score',
      '--model',
      modelFolder('qwen2'),
      '--adapter',
      'nowhere',
      '--tokens',
      path.join(modelFolder('qwen2'), 'expected.safetensors'),
      '--output',
      place('none'),
    ],
    'ADAPTER_FILE_MISSING',
    'nowhere',
  ],
  'an adapter to generate with of another base': () => [
    ['generate', '--model', withTokenizer(), '--adapter', adapterFolder('gpt2_conv1d'), '--prompt', 'x'],
    'ADAPTER_TARGET_UNMATCHED',
    'c_attn',
  ],
  'information on a folder that is not there': () => [
    ['adapter', 'info', 'nowhere'],
    'ADAPTER_FILE_MISSING',
    'nowhere',
  ],
  'a comparison with one folder': () => [
    ['adapter', 'diff', adapterFolder('qwen2_dora')],
    '',
    "missing required argument 'second'",
    2,
  ],
};

test.each(Object.entries(mistakes))('%s gets its own error, and nothing is written', async (_, make) => {
  const [args, code, says, exit = 1] = make();
  const printed = await runHere(...args);
  expect({ exit: printed.code, code: printed.err.match(/^([A-Z_]+):/)?.[1] ?? '', out: printed.out }).toEqual({
    exit,
    code,
    out: '',
  });
  expect(printed.err).toContain(says);
  expect(existsSync(place('none'))).toBe(false);
});

function withTokenizer(): string {
  const folder = place('with-tokenizer');
  mkdirSync(folder, { recursive: true });
  for (const from of [modelFolder('qwen2'), modelFolder('../trl/tokenizer')]) cpSync(from, folder, { recursive: true });
  return folder;
}

function readConfig(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path.join(place(name), 'config.json'), 'utf8'));
}

/** Rows are written anew each time. */
function* copies(update: Parameters<typeof updateRows>[0]) {
  for (const row of updateRows(update, 'out,in')) yield row.slice();
}
