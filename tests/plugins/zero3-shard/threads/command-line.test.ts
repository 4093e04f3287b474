import { expect, test } from '@jest/globals';
import { runFile, workplace } from '../../../cli/support.ts';

const { mooring, write } = workplace();
write('two.yaml', `${runFile}  - zero3-shard: { ranks: 2 }\n`);
const settings = ['--set', 'train.steps=2', '--set', 'train.engine=wasm'];

test('`mooring train` on two threads says everything once', async () => {
  const { code, out, err } = await mooring(['train', 'two.yaml', ...settings]);
  expect({ code, out }).toEqual({
    code: 0,
    out: expect.stringMatching(/^Trained 2 steps in [\d.]+ s\. Saved out\/model\.\n$/),
  });
  const said = err.split('\n').filter((line) => line !== '');
  expect(said).toContainEqual(expect.stringMatching(/^step 2\/2/));
  expect(new Set(said).size).toBe(said.length);
});

test('a mistake is told once, by the first rank', async () => {
  const { code, out, err } = await mooring(['train', 'two.yaml', ...settings, '--set', 'data=absent.jsonl']);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err.match(/^[A-Z_]+: /gm)).toEqual(['DATA_FILE_MISSING: ']);
});
