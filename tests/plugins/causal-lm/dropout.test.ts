import path from 'node:path';
import { expect, test } from '@jest/globals';
import { createTrainer, Driver, type DropoutKey, definePlugin, packBranches, packRows, Reference } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { dropping, fixture, withModel } from './support.ts';

const sequences = [
  { ids: [5, 6, 7, 8, 9], completionStart: 1 },
  { ids: [10, 11, 12, 13, 14], completionStart: 1 },
];

test.each(['gpt2', 'qwen2'])(
  'masks change the outputs, are the same for the same key, and do not depend on the batch: %s',
  async (name) => {
    await withModel(dropping(name), 'native', async ({ driver }) => {
      const score = async (some: typeof sequences, firstRow: number, dropout?: DropoutKey) => {
        const pass = { key: 'policy', view: 'policy', gradient: false, outputs: ['logps'], dropout } as const;
        const { logps } = await driver.forward({ ...pass, rows: packRows(some, { firstRow }) });
        return Array.from((await logps?.data()) as Float32Array);
      };
      const key = { seed: 1, step: 1 };
      const both = await score(sequences, 4, key);
      expect(both).not.toEqual(await score(sequences, 4));
      expect(both).toEqual(await score(sequences, 4, key));
      expect(both).not.toEqual(await score(sequences, 4, { seed: 1, step: 2 }));
      const apart = [...(await score(sequences.slice(0, 1), 4, key)), ...(await score(sequences.slice(1), 5, key))];
      for (const [at, value] of apart.entries()) expect(value).toBeCloseTo(both[at] as number, 5);
    });
  },
);

test('rows that fork are refused, for their sequences would share masks', async () => {
  await withModel(dropping('gpt2'), 'native', async ({ driver }) => {
    const rows = packBranches([sequences, sequences]);
    const pass = { key: 'policy', view: 'policy', gradient: false, outputs: ['logps'], rows } as const;
    const dropout = { seed: 1, step: 1 };
    await expect(driver.forward({ ...pass, dropout })).rejects.toMatchObject({ code: 'MODEL_DROPOUT_FORKED' });
  });
});

test.each([true, false])(
  'a run drops out only when asked, and never in the reference: disableDropout %s',
  async (disableDropout) => {
    const passes: { key: string; hasDropout: boolean }[] = [];
    const watch = definePlugin({
      name: 'watch',
      apiVersion: 1,
      uses: { driver: Driver, reference: Reference },
      apply({ hooks }) {
        hooks.beforeForward.tap(
          ({ pass }) => void passes.push({ key: pass.key, hasDropout: pass.dropout !== undefined }),
        );
      },
    });
    const data = path.resolve(fixture('gpt2'), '../../trl/pairs.jsonl');
    const train = {
      steps: 2,
      learningRate: 1e-3,
      schedule: 'constant',
      shuffle: false,
      disableDropout,
      engine: 'native',
    } as const;
    const run = createTrainer(
      { model: dropping('gpt2'), data, train },
      { log: { debug() {}, info() {}, warn() {}, error() {} } },
    );
    const { record } = await run.use(causalLm(), tokenizer(), preferenceData(), dpo(), refClone(), watch()).train();
    expect(passes.some(({ key, hasDropout }) => key === 'policy' && hasDropout)).toBe(!disableDropout);
    expect(passes.filter(({ key, hasDropout }) => key === 'reference' && hasDropout)).toEqual([]);
    expect(Number.isFinite(record?.loss)).toBe(true);
  },
);
