import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { runFile, workplace } from './support.ts';

const { folder, mooring, write } = workplace();
const read = (...names: string[]) => readFileSync(path.join(folder, ...names));

test('--resume goes on from the newest checkpoint or a named one, to the model of the uninterrupted run', async () => {
  write('kept.yaml', `${runFile}  - checkpoint: { everySteps: 1, keepLast: 9 }\n`);
  const train = (...args: string[]) => mooring(['train', 'kept.yaml', ...args]);
  const steps = (count: number) => ['--set', `train.steps=${count}`];
  await train('--output', 'whole', ...steps(4));

  await train('--output', 'parts', ...steps(2));
  const newest = await train('--output', 'parts', ...steps(4), '--resume');
  expect({ code: newest.code, err: newest.err }).toEqual({
    code: 0,
    err: expect.stringContaining('resumed after step 2'),
  });
  expect(read('parts/metrics.jsonl')).toEqual(read('whole/metrics.jsonl'));
  expect(read('parts/model/model.safetensors')).toEqual(read('whole/model/model.safetensors'));

  const named = await train('--output', 'parts', ...steps(4), '--resume', 'whole/checkpoints/step-3');
  expect(named.err).toContain('resumed after step 3');
  expect(read('parts/metrics.jsonl')).toEqual(read('whole/metrics.jsonl'));
  expect(readdirSync(path.join(folder, 'parts/checkpoints.1'))).toEqual(['step-4']);
});
