import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, test } from '@jest/globals';
import { createTrainer, Driver, packRows, Reference } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { Adapters, peftLora } from 'mooring/plugins/peft-lora';
import { readAdapter, writeAdapter } from '../../../plugins/peft-lora/folder/adapter.ts';
import { fixture, readExpected } from '../causal-lm/support.ts';
import { adapters, distance, type LoraOptions, logitsOf, rowsOfFixture, train, workspace } from './support.ts';

afterAll(() => rmSync(workspace, { recursive: true }));

/** Within what adding in another order changes. */
const within = 2e-5;

describe.each(Object.entries(adapters))('an adapter %s', (_, [name, options]) => {
  it('starts as its reference, learns, and is in its folder what it was in training', async () => {
    const { records, logits, adapter, messages } = await train(name, options);
    expect(records[0]?.loss).toBeCloseTo(Math.log(2), 5);
    expect(records[1]?.loss).toBeLessThan((records[0]?.loss as number) - 1e-3);
    expect(messages.join('\n')).toMatch(/reference: adapter(s-off|-snapshot) \w+, KL at step 0 is/);
    expect(adapter).toMatch(/adapter$/);

    const trainer = createTrainer({ model: fixture(name), train: { engine: 'native' } });
    trainer.use(causalLm(), peftLora({ adapter, reference: 'none' }));
    const rows = await rowsOfFixture(name);
    const read = await trainer.withServices({ driver: Driver }, ({ driver }) => logitsOf(driver, rows));
    expect(distance(read, logits, rows)).toBeLessThan(within);
    const base = await readExpected(fixture(name));
    expect(distance(logits, base.tensors.logits as Float32Array, rows)).toBeGreaterThan(1e-3);
  });
});

test('nothing below the lowest adapted layer is differentiated', async () => {
  const visits = async (options: LoraOptions) => new Set((await train('qwen2', options, { steps: 1 })).backward);
  expect(await visits({ layersToTransform: [2] })).toEqual(new Set(['head', 'layer 2']));
  expect(await visits({ layersToTransform: [1] })).toEqual(new Set(['head', 'layer 2', 'layer 1']));
  expect(await visits({ targetModules: ['lm_head'] })).toEqual(new Set(['head']));
});

test('a trained tied head leaves the embedding that it was tied to alone', async () => {
  const { adapter } = await train('qwen2', { modulesToSave: ['lm_head'] });
  const keys = [...(await readAdapter(adapter)).tensors.keys()];
  expect(keys).toContain('lm_head.weight');
  expect(keys.filter((key) => key.includes('embed'))).toEqual([]);
});

describe('dropout', () => {
  it('falls in the same places however a batch is split, in others in another step, and on neither reference nor base', async () => {
    const adapter = join(import.meta.dirname, '../../fixtures/peft/qwen2_all_linear_rslora');
    const trainer = createTrainer({ model: fixture('qwen2'), train: { engine: 'native', disableDropout: false } });
    trainer.use(causalLm(), peftLora({ adapter, dropout: 0.3 }));
    const uses = { driver: Driver, adapters: Adapters, reference: Reference };
    await trainer.withServices(uses, async ({ driver, adapters, reference }) => {
      const sequences = [5, 10].map((from) => ({ ids: [0, 1, 2, 3, 4].map((at) => from + at), completionStart: 1 }));
      const pass = { key: 'policy', view: 'policy', gradient: false, outputs: ['logps'] } as const;
      const score = async (
        some: typeof sequences,
        firstRow: number,
        step?: number,
        by: Driver['forward'] = driver.forward,
      ) => {
        const dropout = step === undefined ? undefined : { seed: 1, step };
        const { logps } = await by({ ...pass, dropout, rows: packRows(some, { firstRow }) });
        return Array.from((await logps?.data()) as Float32Array);
      };
      const both = await score(sequences, 4, 1);
      expect(both).toEqual(await score(sequences, 4, 1));
      expect(both).not.toEqual(await score(sequences, 4, 2));
      expect(both).not.toEqual(await score(sequences, 4));
      const apart = [...(await score(sequences.slice(0, 1), 4, 1)), ...(await score(sequences.slice(1), 5, 1))];
      for (const [at, value] of apart.entries()) expect(value).toBeCloseTo(both[at] as number, 5);
      const base = await adapters.withoutAdapters(() => score(sequences, 4));
      expect(await adapters.withoutAdapters(() => score(sequences, 4, 1))).toEqual(base);
      expect(await score(sequences, 4, 1, (each) => reference.score(each))).toEqual(base);
    });
  });

  it('with DoRA, copies, and compiled is what it is eagerly', async () => {
    const lora = { dropout: 0.3, dora: true, targetModules: ['q_proj', 'o_proj'] };
    const options: LoraOptions = { ...lora, bias: 'all', modulesToSave: ['norm', 'lm_head'] };
    const settings = { disableDropout: false, steps: 3 };
    const lossesOf = async (compile: 'on' | 'off') =>
      (await train('qwen2', options, { ...settings, compile }, 1)).records.map(({ loss }) => loss as number);
    const eager = await lossesOf('off');
    const compiled = await lossesOf('on');
    expect(eager[2]).toBeLessThan(eager[0] as number);
    for (const [at, loss] of compiled.entries()) expect(loss).toBeCloseTo(eager[at] as number, 5);
  });

  it('is refused on a head, and said to do nothing where dropout is disabled', async () => {
    const head = train('qwen2', { dropout: 0.1, targetModules: ['lm_head'] });
    await expect(head).rejects.toMatchObject({ code: 'ADAPTER_DROPOUT_ON_HEAD' });
    // of a folder that was trained with it, it is refused where it would fall, and not where it is only read
    const { adapter } = await train('qwen2', { targetModules: ['lm_head'] }, { steps: 1 });
    const falling = train('qwen2', { adapter, dropout: 0.1 }, { disableDropout: false });
    await expect(falling).rejects.toMatchObject({ code: 'ADAPTER_DROPOUT_ON_HEAD' });
    const saved = await readAdapter(adapter);
    const dropped = join(workspace, 'dropped');
    await writeAdapter(dropped, { ...saved, config: { ...saved.config, dropout: 0.1 } });
    const trainer = createTrainer({ model: fixture('qwen2'), train: { engine: 'native' } });
    trainer.use(causalLm(), peftLora({ adapter: dropped, reference: 'none' }));
    await trainer.withServices({ driver: Driver }, async () => undefined);
    const { messages } = await train('qwen2', { dropout: 0.1 }, { steps: 1 });
    expect(messages.filter((message) => /dropout of peft-lora does nothing/.test(message))).toHaveLength(1);
  });
});

describe('PiSSA', () => {
  it('is refused where a tied weight would change, and on engines without a decomposition', async () => {
    const pissa: LoraOptions = { initialization: 'pissa', targetModules: ['lm_head'] };
    await expect(train('qwen2', pissa)).rejects.toMatchObject({ code: 'ADAPTER_MERGE_TIED' });
    const onWasm = train('qwen2', { initialization: 'pissa' }, { engine: 'wasm' });
    await expect(onWasm).rejects.toMatchObject({ code: 'ADAPTER_NEEDS_SVD' });
    const wide = train('qwen2', { initialization: 'pissa', r: 512 });
    await expect(wide).rejects.toMatchObject({ code: 'ADAPTER_RANK_TOO_HIGH' });
  });

  it('is refused in a folder that was not converted: its base is another', async () => {
    const adapter = join(workspace, 'unconverted');
    const saved = await readAdapter(join(import.meta.dirname, '../../fixtures/peft/qwen2_attention'));
    await writeAdapter(adapter, { ...saved, config: { ...saved.config, initLoraWeights: 'pissa_niter_4' } });
    await expect(train('qwen2', { adapter })).rejects.toMatchObject({ code: 'ADAPTER_BASE_CHANGED' });
  });

  it('cannot have its base, which it changed, for a reference', async () => {
    const off = train('qwen2', { initialization: 'pissa', reference: 'adapters-off' });
    await expect(off).rejects.toMatchObject({ code: 'ADAPTER_REFERENCE_TRAINED' });
  });
});

describe('options that would do nothing', () => {
  it('are refused: a pattern of layers without layers, an exclusion that excludes nothing', async () => {
    expect(() =>
      createTrainer({ model: 'any' })
        .use(peftLora({ layersPattern: ['layers'] }))
        .explain(),
    ).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }));
    const idle = train('qwen2', { excludeModules: ['layers.0.self_attn.q_poj'] });
    await expect(idle).rejects.toMatchObject({ code: 'ADAPTER_TARGET_UNMATCHED' });
    await train('qwen2', { excludeModules: ['layers.0.self_attn.q_proj'] }, { steps: 1 });
  });
});
