import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { createTrainer, DataSource, EvaluationData, type PreferenceBatch } from 'mooring';
import { causalLm } from '../../../plugins/causal-lm/index.ts';
import { collate } from '../../../plugins/preference-data/collate.ts';
import { preferenceData } from '../../../plugins/preference-data/index.ts';
import { promptSharing } from '../../../plugins/preference-data/sharing.ts';
import { tokenizer } from '../../../plugins/tokenizer/index.ts';
import { errorOf, keepingLog } from './support.ts';

const fixtures = join(import.meta.dirname, '../../fixtures');
const model = mkdtempSync(join(tmpdir(), 'mooring-sharing-'));
cpSync(join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));
const data = join(fixtures, 'trl/pairs.jsonl');

/** A log that keeps what it is told. */
function listening() {
  const said: string[] = [];
  return { ...keepingLog(), said, info: (_: object, message: string) => void said.push(message) };
}

const without = { hasDropout: false };
const capable = { description: 'alpha', sharesPrompts: true } as const;
const recurrent = { description: 'bravo', sharesPrompts: 'its state runs through the row' };
const silent = { description: 'charlie' };

describe('a shared prompt', () => {
  it('is the default where the model computes it', () => {
    const log = listening();
    expect(promptSharing('auto', log)(capable, without)).toBe('fits');
    expect(promptSharing(true, log)(capable, without)).toBe('always');
    expect(promptSharing(false, log)(capable, without)).toBe('never');
    expect(log.said).toEqual([]);
  });

  it('is left out with one line that names the model and says why, where it would be wrong', () => {
    const log = listening();
    const sharing = promptSharing('auto', log);
    expect([sharing(recurrent, without), sharing(recurrent, without)]).toEqual(['never', 'never']);
    expect(log.said).toEqual([expect.stringMatching(/bravo: its state runs through the row/)]);
    promptSharing('auto', log)(silent, without);
    promptSharing('auto', log)(capable, { hasDropout: true });
    promptSharing('auto', log)(undefined, without);
    expect(log.said.slice(1)).toEqual([
      expect.stringContaining('charlie: it does not say'),
      expect.stringContaining('alpha: its dropout'),
      expect.stringContaining('there is none'),
    ]);
  });

  it.each([
    [recurrent, without, 'its state runs through the row'],
    [silent, without, 'does not say'],
    [capable, { hasDropout: true }, 'dropout'],
  ])('that is asked for is refused by name where it would be wrong: %j %j', async (model, dropout, reason) => {
    const error = await errorOf(() => promptSharing(true, listening())(model, dropout));
    expect(error).toMatchObject({ code: 'PROMPTS_NOT_SHARED', message: expect.stringContaining(model.description) });
    expect(error.message).toContain(reason);
  });

  it('is not worth the padding that a long prompt beside a long completion would need', () => {
    const ids = (length: number) => Array.from({ length }, (_, at) => at);
    const pair = (prompt: number, completion: number) => ({
      prompt: ids(prompt),
      chosen: ids(completion),
      rejected: ids(completion),
      mismatch: undefined,
    });
    const options = {
      maxLength: null,
      truncationMode: 'keep_start',
      position: 0,
      origin: '',
      padId: 0,
      firstRow: 0,
    } as const;
    const fork = (pairs: ReturnType<typeof pair>[], sharing: 'fits' | 'always') =>
      collate(pairs, { ...options, sharing }).rows.fork;
    expect(fork([pair(9, 3), pair(8, 4)], 'fits')).toEqual({ trunk: 9, branches: 2, branch: 4 });
    expect(fork([pair(9, 1), pair(1, 9)], 'fits')).toBeUndefined();
    expect(fork([pair(9, 1), pair(1, 9)], 'always')).toEqual({ trunk: 9, branches: 2, branch: 9 });
  });
});

describe('a run', () => {
  const rowsOf = async (options: Parameters<typeof preferenceData>[0], disableDropout: boolean) => {
    const trainer = createTrainer(
      { model, data, evalData: data, train: { engine: 'cpu', disableDropout } },
      { log: listening() },
    ).use(causalLm(), tokenizer(), preferenceData(options));
    return trainer.withServices({ source: DataSource, held: EvaluationData }, async ({ source, held }) =>
      Promise.all(
        [source, held].map(async (each) => {
          for await (const batch of (each as DataSource).open(0))
            return (batch as PreferenceBatch).rows.fork !== undefined;
          return undefined;
        }),
      ),
    );
  };

  it('shares prompts unless dropout falls on them, which it never does in evaluation', async () => {
    expect(await rowsOf({}, true)).toEqual([true, true]);
    expect(await rowsOf({}, false)).toEqual([false, true]);
    expect(await rowsOf({ sharePrompts: false }, true)).toEqual([false, false]);
    await expect(rowsOf({ sharePrompts: true }, false)).rejects.toMatchObject({ code: 'PROMPTS_NOT_SHARED' });
  });
});
