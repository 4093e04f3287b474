import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { workplace } from './support.ts';

const { folder, mooring } = workplace();
const configs = path.resolve(import.meta.dirname, '../../plugins/advise/configs');

test('advise prints an aligned table, what does not fit, and the choice with its reason', async () => {
  const { code, out, err } = await mooring([
    'advise',
    '--model',
    path.join(configs, 'llama-2-7b'),
    '--memory',
    '256GiB',
  ]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const [title, work, , head = '', ...rows] = out.split('\n');
  expect(title).toBe('llama with 6.74 billion parameters, 256 GiB for each of 1 rank');
  expect(work).toMatch(/^4 pairs of 256 \+ 256 tokens in a micro-step, compiled/);
  const table = rows.slice(0, rows.indexOf(''));
  expect(head).toMatch(/^mechanism +ranks +weights +gradients .* +time +fits$/);
  expect(table.filter((row) => row.length !== head.length)).toEqual([]);
  expect(table[0]).toMatch(/^full, clone .* 1\.00 +chosen$/);
  expect(out).toContain('ZeRO-3, clone                             One rank has nobody to share with.');
  expect(out).toMatch(/\nChoice: full, clone\. There is memory for the policy .*\nplugins:\n {2}- ref-clone\n$/);
});

test('advise --json says the same in numbers', async () => {
  const args = [
    'advise',
    '--model',
    'model',
    '--memory',
    '2GB',
    '--batch',
    '2',
    '--time',
    '64',
    '--rank',
    '8',
    '--json',
  ];
  const { code, out } = await mooring(args);
  const told = JSON.parse(out);
  expect(code).toBe(0);
  expect(told).toMatchObject({
    model: { vocabularySize: 384 },
    memory: 2e9,
    ranks: 1,
    workload: { pairs: 2, promptTokens: 32, completionTokens: 32 },
    adapterRank: 8,
    choice: { name: 'full, clone', leastRanks: 2 },
  });
  expect(told.mechanisms[0]).toMatchObject({
    name: 'full, clone',
    plugins: { 'ref-clone': {} },
    time: 1,
    obstacles: [],
  });
  expect(told.mechanisms[0].bytes.weights).toBe(4 * told.model.parameters);
});

test.each([
  [['--memory', '24'], 'ADVISE', '"24" is no amount of memory; write 24GiB, 16GB or 512MiB'],
  [['--memory', 'much'], 'ADVISE', '"much" is no amount of memory'],
  [['--ranks', '0'], 'ADVISE', '--ranks'],
  [['--time', '8', '--completion', '8'], 'ADVISE_SEQUENCE_UNEVEN', '8 tokens'],
  [['--model', 'nowhere'], 'MODEL_CONFIG_MISSING', 'config.json'],
])('advise %j is refused', async (more, code, words) => {
  const printed = await mooring(['advise', ...(more[0] === '--model' ? [] : ['--model', 'model']), ...more]);
  expect(printed.code).not.toBe(0);
  expect(printed.err).toContain(words);
  if (code !== 'ADVISE') expect(printed.err).toContain(code);
});

test('advise refuses a family that Mooring does not compute', async () => {
  writeFileSync(path.join(folder, 'config.json'), '{ "model_type": "mamba" }');
  const { code, err } = await mooring(['advise', '--model', '.']);
  expect(code).not.toBe(0);
  expect(err).toContain('MODEL_FAMILY_UNKNOWN');
});
