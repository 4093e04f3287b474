import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { createTrainer, definePlugin, Engine, Objective, type Plugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { tokenFigures } from '../../../plugins/causal-lm/primitives/log-probabilities.ts';
import { answering } from '../../core/answering.ts';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const model = mkdtempSync(path.join(tmpdir(), 'mooring-kl-'));
cpSync(path.join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(path.join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

/** Lets the policy's pass ask for `kl`, before what is trained on, and logs its mean over tokens. */
const exactKl = definePlugin({
  name: 'exact-kl',
  apiVersion: 1,
  apply({ hooks, decorate }) {
    decorate(Objective, {
      uses: {},
      create: (inner) => ({
        ...inner,
        passes: (batch) =>
          inner
            .passes(batch)
            .map((pass) => (pass.of === 'policy' ? { ...pass, outputs: ['kl' as const, ...pass.outputs] } : pass)),
      }),
    });
    hooks.metrics.tap(({ outputs, batch }) => ({
      'kl/exact': { value: tf.mean(outputs.policy?.kl as tf.Tensor), reduce: 'mean', weight: batch.counts.token },
    }));
  },
});

type Settings = NonNullable<Parameters<typeof createTrainer>[0]['train']>;

async function divergences(
  train: Settings,
  plugins: readonly Plugin[] = [refClone()],
  sharePrompts = true,
): Promise<number[]> {
  const seen: number[] = [];
  const recorder = definePlugin({
    name: 'recorder',
    apiVersion: 1,
    apply: ({ hooks }) => hooks.stepEnd.tap(({ record }) => void seen.push(record['kl/exact'] as number)),
  });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const settings = { steps: 3, batchSize: 2, learningRate: 1e-3, schedule: 'constant', shuffle: false } as const;
  const run = createTrainer(
    { model, data: path.join(fixtures, 'trl/pairs.jsonl'), train: { ...settings, ...train } },
    { log },
  );
  await run
    .use(causalLm(), tokenizer(), preferenceData({ sharePrompts }), dpo(), exactKl(), ...plugins, recorder())
    .train();
  return seen;
}

describe('the exact KL of policy and reference', () => {
  const engines = readInstalled() === undefined ? [] : (['off', 'on'] as const);
  test.each(engines)('is 0 before the first step and the same in every engine: native, compile %s', async (compile) => {
    const native = await divergences({ engine: 'native', compile });
    const wasm = await divergences({ engine: 'wasm' });
    expect(native[0]).toBeCloseTo(0, 6);
    expect(native[2]).toBeGreaterThan(1e-5);
    native.forEach((kl, step) => {
      expect(kl).toBeCloseTo(wasm[step] as number, 5);
    });
  });

  test('is refused where nothing gives the prediction of a reference', async () => {
    await expect(divergences({ engine: 'wasm' }, [])).rejects.toMatchObject({ code: 'SERVICE_MISSING' });
  });

  test('names the reference, and who answered for it without its prediction', async () => {
    await expect(divergences({ engine: 'wasm' }, [refClone(), answering])).rejects.toMatchObject({
      code: 'KL_UNCOMPARED',
      message: expect.stringMatching(/pass policy.*a tap of `pass`.*of the kind clone gave no `states`/),
    });
  });

  test('is the same whether the sequences of a pair share a row or not', async () => {
    const shared = await divergences({ engine: 'wasm' });
    const apart = await divergences({ engine: 'wasm' }, [refClone()], false);
    shared.forEach((kl, step) => {
      expect(kl).toBeCloseTo(apart[step] as number, 6);
    });
  });

  test.each(engines)('leaves no tensor behind: native, compile %s', async (compile) => {
    const counts: object[] = [];
    const counter = definePlugin({
      name: 'counter',
      apiVersion: 1,
      uses: { engine: Engine },
      apply: ({ hooks, services }) => hooks.stepEnd.tap(() => void counts.push(services.engine.memory())),
    });
    await divergences({ engine: 'native', compile, steps: 6 }, [refClone(), counter()]);
    expect(counts[5]).toEqual(counts[1]);
  });

  test('is that of its formula in double precision', async () => {
    await openEngine('wasm');
    const [hidden, weight, otherHidden, otherWeight] = [
      tf.randomNormal([5, 3], 0, 1, 'float32', 1),
      tf.randomNormal([7, 3], 0, 1, 'float32', 2),
      tf.randomNormal([5, 2], 0, 1, 'float32', 3),
      tf.randomNormal([7, 2], 0, 1, 'float32', 4),
    ] as const;
    const label = tf.zeros([5], 'int32');
    const prediction = { hidden, weight, label, reference: { hidden: otherHidden, weight: otherWeight } };
    const purpose = { names: ['kl'], needsValue: true, differentiated: [], isWeightFrozen: false } as const;
    const kl = Array.from((tokenFigures(prediction, purpose).kl as tf.Tensor).dataSync());
    const logits = async (x: tf.Tensor, w: tf.Tensor) =>
      (await tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D, false, true).array()) as number[][];
    const [policy, reference] = [await logits(hidden, weight), await logits(otherHidden, otherWeight)];
    const logSoftmax = (row: readonly number[]) => {
      const normalizer = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      return row.map((logit) => logit - normalizer);
    };
    kl.forEach((value, row) => {
      const [p, q] = [logSoftmax(policy[row] as number[]), logSoftmax(reference[row] as number[])];
      expect(value).toBeCloseTo(
        p.reduce((sum, each, word) => sum + Math.exp(each) * (each - (q[word] as number)), 0),
        5,
      );
    });
  });
});
