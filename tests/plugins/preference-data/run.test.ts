import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { createTrainer, type RunInput } from 'mooring';
import { causalLm } from '../../../plugins/causal-lm/index.ts';
import { dpo } from '../../../plugins/dpo/index.ts';
import { preferenceData } from '../../../plugins/preference-data/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { tokenizer } from '../../../plugins/tokenizer/index.ts';
import { keepingLog } from './support.ts';

const fixtures = join(import.meta.dirname, '../../fixtures');
const data = join(fixtures, 'trl/pairs.jsonl');
const model = mkdtempSync(join(tmpdir(), 'mooring-data-'));
cpSync(join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

const train = (files: Pick<RunInput, 'data' | 'evalData'>, settings: RunInput['train'] = {}) =>
  createTrainer(
    { model, ...files, train: { engine: 'wasm', steps: 1, batchSize: 1, ...settings } },
    { log: keepingLog() },
  )
    .use(causalLm(), tokenizer(), preferenceData(), dpo(), refClone())
    .train();

describe('a run over files of preference pairs', () => {
  it('evaluates on evalData under the names of TRL', async () => {
    const { evaluation } = await train({ data, evalData: data }, { evalEverySteps: 1, batchSize: 8 });
    expect(evaluation).toMatchObject({
      eval_loss: expect.any(Number),
      'eval_rewards/margins': expect.any(Number),
      'eval_logps/chosen': expect.any(Number),
    });
  });

  it('needs no evalData until it evaluates', async () => {
    expect((await train({ data })).evaluation).toBeUndefined();
    await expect(train({ data }, { evalEverySteps: 1 })).rejects.toMatchObject({ code: 'NO_EVALUATION_DATA' });
  });

  it('needs data', async () => {
    await expect(train({})).rejects.toMatchObject({ code: 'DATA_NOT_GIVEN' });
    await expect(train({ data: '/nowhere.jsonl' })).rejects.toMatchObject({ code: 'DATA_FILE_MISSING' });
  });
});
