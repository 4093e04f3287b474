import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { openSafetensors, writeSafetensors } from 'mooring';
import { workplace } from './support.ts';

const { folder, mooring } = workplace();
const fixtures = path.resolve(import.meta.dirname, '../fixtures');
const file = (name: string) => path.join(folder, name);

test('score --tokens writes the log-probabilities and logits that transformers computes', async () => {
  const { code, err } = await mooring([
    'score',
    '--model',
    'model',
    '--tokens',
    'model/expected.safetensors',
    '--logits',
    '--output',
    'scores.safetensors',
  ]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const [ours, theirs] = [
    await openSafetensors(file('scores.safetensors')),
    await openSafetensors(file('model/expected.safetensors')),
  ];
  for (const name of ['token_logps', 'logits']) {
    expect(ours.entries.get(name)?.shape).toEqual(theirs.entries.get(name)?.shape);
    const expected = await theirs.readTensor(name);
    expect(largestDifference(await ours.readTensor(name), expected)).toBeLessThan(2e-4);
  }
  await ours.close();
  await theirs.close();
});

test.each(['gpt2', 'llama', 'llama-bf16-sharded', 'llama-linear', 'mistral', 'qwen2-window', 'qwen3'])(
  'score --tokens gives what transformers computes for %s',
  async (name) => {
    const model = path.join(fixtures, 'models', name);
    const tokens = path.join(model, 'expected.safetensors');
    const output = file(`${name}.safetensors`);
    const printed = await mooring(['score', '--model', model, '--tokens', tokens, '--logits', '--output', output]);
    expect(printed).toEqual({ code: 0, out: '', err: '' });
    const [ours, theirs] = [await openSafetensors(output), await openSafetensors(tokens)];
    for (const tensor of ['token_logps', 'logits'].filter((each) => theirs.entries.has(each))) {
      const expected = await theirs.readTensor(tensor);
      expect(largestDifference(await ours.readTensor(tensor), expected)).toBeLessThan(2e-4);
    }
    await ours.close();
    await theirs.close();
  },
);

test('score --tokens takes padding on the left too', async () => {
  const theirs = await openSafetensors(file('model/expected.safetensors'));
  const left = new Map([
    ['input_ids', await theirs.readTensor('input_ids_left')],
    ['attention_mask', await theirs.readTensor('attention_mask_left')],
  ]);
  const specs = [...left.keys()].map((name) => ({ name, dtype: 'int32', shape: [3, 24] }) as const);
  await writeSafetensors(file('left.safetensors'), specs, (name) => left.get(name) as Int32Array);
  await mooring([
    'score',
    '--model',
    'model',
    '--tokens',
    'left.safetensors',
    '--logits',
    '--output',
    'left-scores.safetensors',
  ]);
  const ours = await openSafetensors(file('left-scores.safetensors'));
  expect(largestDifference(await ours.readTensor('logits'), await theirs.readTensor('logits_left'))).toBeLessThan(2e-4);
  await ours.close();
  await theirs.close();
});

test('rows that do not fit in memory together are scored as if they did', async () => {
  const theirs = await openSafetensors(file('model/expected.safetensors'));
  const repeats = 40; // 2880 tokens, more than run at once
  const repeated = (values: ArrayLike<number>) => Array.from({ length: repeats }, () => Array.from(values)).flat();
  const specs = ['input_ids', 'attention_mask'].map((name) => ({ name, dtype: 'int32', shape: [120, 24] }) as const);
  await writeSafetensors(file('many.safetensors'), specs, async (name) =>
    Int32Array.from(repeated(await theirs.readTensor(name))),
  );
  const args = ['--model', 'model', '--tokens', 'many.safetensors', '--logits', '--output', 'many-scores.safetensors'];
  expect((await mooring(['score', ...args])).err).toBe('');
  const ours = await openSafetensors(file('many-scores.safetensors'));
  for (const name of ['token_logps', 'logits']) {
    const expected = repeated(await theirs.readTensor(name));
    expect(largestDifference(await ours.readTensor(name), expected)).toBeLessThan(2e-4);
  }
  await ours.close();
  await theirs.close();
});

test('score --data writes one object a row: tokens as TRL tokenizes them, and figures that add up', async () => {
  await mooring(['score', '--model', 'model', '--data', 'pairs.jsonl', '--output', 'scores.jsonl']);
  const rows = readFileSync(file('scores.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const tokenized = JSON.parse(readFileSync(path.join(fixtures, 'trl/tokenized.json'), 'utf8'));
  expect(rows.map((row) => row.chosen.tokens)).toEqual(
    tokenized.map((row: { chosen_ids: number[] }) => row.chosen_ids),
  );
  for (const { rejected } of rows) {
    expect(rejected.token_logps.reduce((sum: number, each: number) => sum + each, 0)).toBeCloseTo(rejected.logp, 6);
  }
  const mean = rows.slice(0, 4).reduce((sum, row) => sum + row.chosen.logp, 0) / 4;
  expect(mean).toBeCloseTo(-41.79924, 3); // logps/chosen of the first step of TRL's trace
});

test('generate continues a prompt, the same for the same seed', async () => {
  const args = [
    'generate',
    '--model',
    'model',
    '--prompt',
    'What is 2',
    '--max-new-tokens',
    '6',
    '--temperature',
    '1',
    '--ignore-eos',
    '--json',
  ];
  const [one, same, other] = [
    await mooring([...args, '--seed', '1']),
    await mooring([...args, '--seed', '1']),
    await mooring([...args, '--seed', '2']),
  ];
  expect(JSON.parse(one.out).tokens).toHaveLength(6);
  expect(same.out).toBe(one.out);
  expect(other.out).not.toBe(one.out);
});

test('a command that cannot be carried out writes nothing', async () => {
  const both = await mooring([
    'score',
    '--model',
    'model',
    '--data',
    'pairs.jsonl',
    '--tokens',
    'x',
    '--output',
    'none',
  ]);
  expect(both.err).toContain('SCORE_WHAT');
  const adapter = await mooring(['generate', '--model', 'model', '--prompt', 'x', '--adapter', 'lora']);
  expect(adapter.err).toContain('ADAPTER_FILE_MISSING');
  copyFileSync(file('model/model.safetensors'), file('weights.safetensors'));
  const wrong = await mooring(['score', '--model', 'model', '--tokens', 'weights.safetensors', '--output', 'none']);
  expect(wrong.err).toContain('SCORE_TOKENS_MALFORMED');
  const specs = ['input_ids', 'attention_mask'].map((name) => ({ name, dtype: 'int32', shape: [1, 2] }) as const);
  await writeSafetensors(file('twos.safetensors'), specs, () => Int32Array.of(2, 2));
  const twos = await mooring(['score', '--model', 'model', '--tokens', 'twos.safetensors', '--output', 'none']);
  expect(twos.err).toMatch(/SCORE_TOKENS_MALFORMED: .*attention_mask values such as 2/);
  const many = await mooring(['generate', '--model', 'model', '--prompt', 'x', '--max-new-tokens', 'many']);
  expect(many.err).toContain('--max-new-tokens');
  expect(existsSync(file('none'))).toBe(false);
});

function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  return Array.from(ours).reduce((most, value, at) => Math.max(most, Math.abs(value - (theirs[at] as number))), 0);
}
