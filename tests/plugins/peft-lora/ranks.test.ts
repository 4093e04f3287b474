import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, test } from '@jest/globals';
import { type Collectives, createTrainer, Driver, ParameterStore, type Plugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { Adapters, peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks } from 'mooring/testing';
import { readAdapter } from '../../../plugins/peft-lora/folder/adapter.ts';
import { quiet } from '../../core/support.ts';
import { fixture } from '../causal-lm/support.ts';
import { adapters, distance, type LoraOptions, logitsOf, rowsOfFixture, withTokenizer, workspace } from './support.ts';

afterAll(() => rmSync(workspace, { recursive: true }));

/** Alone, nothing is sharded; else everything is but vectors of a few elements. */
function ranksOf(collectives: Collectives): Plugin[] {
  if (collectives.ranks === 1) return [];
  return [zero3Shard({ persistenceThreshold: 16 }), givenRanks(collectives, 'zero3-shard')];
}

/** The folder of an adapter that two steps of DPO trained on so many ranks. */
async function trainOn(ranks: number, model: string, options: LoraOptions, learningRate: number): Promise<string> {
  const output = mkdtempSync(join(workspace, 'run-'));
  const data = join(import.meta.dirname, '../../fixtures/trl/pairs.jsonl');
  const train = {
    engine: 'native',
    compile: 'off',
    steps: 2,
    batchSize: 3,
    learningRate,
    // Adam turns a gradient that is nothing but rounding, as that of the keys' biases, into a whole step
    adam: { eps: 1e-4 },
  } as const;
  await inRanks(ranks, async (collectives) => {
    await createTrainer({ model, data, output, train }, { log: quiet })
      .use(causalLm(), tokenizer(), preferenceData(), dpo(), peftLora(options), ...ranksOf(collectives))
      .train();
  });
  return join(output, 'adapter');
}

const filesOf = (folder: string) => readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]);

/** Those that are made of the base in some way, or of more than linear layers. */
const kinds = [
  'of every linear, with all biases',
  'with DoRA on transposed weights',
  'of an embedding and the head',
  'with a tied head saved whole',
  'started by PiSSA on transposed weights',
];

describe.each(Object.entries(adapters).filter(([kind]) => kinds.includes(kind)))(
  'over sharded weights, an adapter %s',
  (_, [name, options]) => {
    const model = withTokenizer(name);

    it('starts on two ranks as on one, to the last byte of its folder', async () => {
      const [alone, both] = [await trainOn(1, model, options, 0), await trainOn(2, model, options, 0)];
      expect(filesOf(both)).toEqual(filesOf(alone));
    });

    it('becomes on three ranks what it becomes on one', async () => {
      const [alone, all] = [await trainOn(1, model, options, 1e-2), await trainOn(3, model, options, 1e-2)];
      const expected = await readAdapter(alone);
      const { tensors } = await readAdapter(all);
      expect([...tensors.keys()]).toEqual([...expected.tensors.keys()]);
      for (const [key, { values }] of expected.tensors) {
        const found = tensors.get(key)?.values;
        const far = values.map(
          (value, at) => Math.abs(value - (found?.[at] ?? Number.NaN)) / Math.max(1, Math.abs(value)),
        );
        if (far.some((each) => !(each <= 1e-5))) throw new Error(`${key} differs by ${Math.max(...far)}`);
      }
    });
  },
);

test.each(['float32', 'bfloat16'] as const)(
  'merged into a sharded base in %s makes of it what it makes of a whole one, and unmerged it is what it was, bit for bit',
  async (storage) => {
    const rows = await rowsOfFixture('qwen2');
    const adapter = join(import.meta.dirname, '../../fixtures/peft/qwen2_all_linear_rslora');
    const uses = { driver: Driver, adapters: Adapters, store: ParameterStore };
    const mergeOn = (ranks: number) =>
      inRanks(ranks, async (collectives) => {
        const trainer = createTrainer({ model: fixture('qwen2'), train: { engine: 'native' } }, { log: quiet });
        trainer.use(causalLm(), peftLora({ adapter, reference: 'none', storage }), ...ranksOf(collectives));
        return trainer.withServices(uses, async ({ driver, adapters: switched, store }) => {
          const before = await store.fingerprint('policy');
          const beside = await logitsOf(driver, rows);
          await switched.merge();
          const logits = await logitsOf(driver, rows);
          const fingerprint = await store.fingerprint('policy');
          expect(fingerprint).not.toBe(before);
          switched.unmerge();
          expect(await store.fingerprint('policy')).toBe(before);
          expect(await logitsOf(driver, rows)).toEqual(beside);
          return { logits, fingerprint };
        });
      });
    const [alone] = await mergeOn(1);
    for (const { logits, fingerprint } of await mergeOn(2)) {
      expect(fingerprint).toBe(alone?.fingerprint);
      expect(distance(logits, alone?.logits as Float32Array, rows)).toBeLessThan(1e-5);
    }
  },
);
