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

test.each([
  ['every rank finds', ['--set', 'data=absent.jsonl'], 'DATA_FILE_MISSING'],
  ['the first rank finds for all', ['--resume', 'absent'], 'CHECKPOINT_TORN'],
])('a mistake that %s is told once, by the first rank', async (_, mistake, error) => {
  const { code, out, err } = await mooring(['train', 'two.yaml', ...settings, ...mistake]);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err.match(/^[A-Z_]+: |failed/gm)).toEqual([`${error}: `]);
});
