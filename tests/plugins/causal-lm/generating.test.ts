import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { packRows } from 'mooring';
import { failureOf } from '../../core/support.ts';
import { fixture, passOf, readFigures, withModel } from './support.ts';

const prompts = [[5, 6, 7], [9], [10, 11, 12, 13, 14, 15, 16], [20, 21]];

test.each(['gpt2', 'llama', 'mistral', 'qwen3'])(
  'prompts of different lengths get what each would get alone: %s',
  async (name) => {
    await withModel(fixture(name), 'native', async ({ generator }) => {
      for (const options of [{ maxNewTokens: 12 }, { maxNewTokens: 12, temperature: 0.8, seed: 3 }]) {
        const together = await generator.generate(prompts, { ...options, ignoreEos: true });
        const alone = [];
        for (const prompt of prompts)
          alone.push(...(await generator.generate([prompt], { ...options, ignoreEos: true })));
        expect(together).toEqual(alone);
      }
    });
  },
);

test('samples are the same for the same seed, and others for another', async () => {
  await withModel(fixture('qwen2'), 'native', async ({ generator }) => {
    const sample = (seed: number) =>
      generator.generate(prompts, { maxNewTokens: 8, temperature: 1, seed, ignoreEos: true });
    expect(await sample(1)).toEqual(await sample(1));
    expect(await sample(1)).not.toEqual(await sample(2));
  });
});

test('a row ends with the end-of-sequence token, unless told to go on', async () => {
  const { greedy_from_first_6_tokens: tokens } = readFigures(fixture('llama'));
  const prompt = tokens.slice(0, 6);
  const end = tokens[10] as number;
  const folder = path.join(mkdtempSync(path.join(tmpdir(), 'mooring-end-')), 'model');
  cpSync(fixture('llama'), folder, { recursive: true });
  writeFileSync(path.join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: [end, 383] }));
  await withModel(folder, 'native', async ({ generator }) => {
    const [[ended], [whole]] = [
      await generator.generate([prompt], { maxNewTokens: 16 }),
      await generator.generate([prompt], { maxNewTokens: 16, ignoreEos: true }),
    ];
    expect(whole).toEqual(tokens.slice(6));
    expect(ended).toEqual(tokens.slice(6, tokens.indexOf(end, 6) + 1));
  });
});

test('generating leaves no tensor behind', async () => {
  const { greedy_from_first_6_tokens: tokens } = readFigures(fixture('llama'));
  await withModel(fixture('llama'), 'native', async ({ generator, engine }) => {
    const run = () => generator.generate([tokens.slice(0, 6)], { maxNewTokens: 4 });
    await run();
    const before = engine.memory().tensors;
    await run();
    expect(engine.memory().tensors).toBe(before);
  });
});

test('an empty prompt, a strange token and more tokens than there are positions are refused', async () => {
  await withModel(fixture('gpt2'), 'cpu', async ({ generator }) => {
    const codeOf = async (prompt: number[], maxNewTokens: number) =>
      (await failureOf(() => generator.generate([[5], prompt], { maxNewTokens }))).code;
    expect(await codeOf([], 1)).toBe('MODEL_PROMPT_EMPTY');
    expect(await codeOf([384], 1)).toBe('MODEL_TOKEN_OUT_OF_RANGE');
    expect(await codeOf([5, 6, 7], 255)).toBe('MODEL_SEQUENCE_TOO_LONG');
  });
});

test('rows of a single token score nothing, and do not fail', async () => {
  await withModel(fixture('qwen2'), 'cpu', async ({ driver }) => {
    const rows = packRows([{ ids: [5], completionStart: 0 }]);
    const outputs = await driver.forward(passOf(rows, ['logps', 'scores']));
    expect(outputs.logps?.shape).toEqual([0]);
    expect(outputs.scores?.shape).toEqual([0, 384]);
  });
});
