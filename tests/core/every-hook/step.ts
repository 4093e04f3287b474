import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type HookName, type Outputs, packRows, type Settings, type TextBatch } from 'mooring';
import { failureOf, plugin } from '../support.ts';
import { type Case, observe } from './observe.ts';

/** Hooks of a step: its batches, its figures, its gradients. */
export const insideAStep = {
  batch: {
    claim: 'replaces a batch, knowing its position and the random streams',
    async test() {
      const asked: number[] = [];
      const trained: string[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.batch.tap(async (batch, { position, random }) => {
          asked.push(position);
          const start = random.stream('alpha', position).integer(6);
          const rows = packRows([{ ids: [start, start + 1], completionStart: 1 }]);
          const replaced: TextBatch = { ...batch, kind: 'text', origin: 'alpha', counts: { row: 1, token: 1 }, rows };
          return replaced;
        });
        hooks.stepBegin.tap(({ microBatches }) => void trained.push(...microBatches.map((batch) => batch.origin)));
      });
      const plain = await observe();
      const { records } = await observe([tap]);
      expect(trained).toEqual(['alpha']);
      expect(asked).toEqual([0, 1]); // the batch of the next step is made ahead
      expect(records[0]?.loss).not.toBe(plain.records[0]?.loss);
    },
  },
  stepBegin: {
    claim: 'runs when every micro-batch of the step is fetched, and no step spans epochs',
    async test() {
      const seen: (string | number)[][] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.stepBegin.tap(({ step, microBatches }) => {
          seen.push([step.index, step.steps, step.epoch, ...microBatches.map((batch) => batch.origin)]);
        });
      });
      await observe([tap], { steps: 3, gradientAccumulationSteps: 2 });
      expect(seen).toEqual([
        [1, 3, 0, 'toy batch 0', 'toy batch 1'],
        [2, 3, 0, 'toy batch 2'], // three batches an epoch
        [3, 3, 1, 'toy batch 3', 'toy batch 4'],
      ]);
    },
  },
  settings: {
    claim: 'replaces live values such as the learning rate, knowing the last record',
    async test() {
      const last: (number | undefined)[] = [];
      const seen: Settings[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.settings.tap((settings, { last: record, step }) => {
          last.push(record?.loss);
          return { ...settings, learningRate: step.index === 1 ? 0 : settings.learningRate, beta: 0.5 };
        });
        hooks.lossTerms.tap(({ settings }) => void seen.push(settings));
      });
      const { records, initial, final } = await observe([tap]);
      expect(final).toEqual(initial);
      expect(records[0]?.learning_rate).toBe(0);
      expect(seen).toEqual([{ learningRate: 0, beta: 0.5 }]);
      const two = await observe([tap], { steps: 2 });
      expect(last.slice(1)).toEqual([undefined, two.records[0]?.loss]);
      expect(two.final).not.toEqual(two.initial);
    },
  },
  pass: {
    claim: 'answers a pass instead of computing it, where no gradient is needed',
    async test() {
      const computed: string[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.pass.tap(async ({ pass }): Promise<Outputs | undefined> => {
          return pass.gradient ? undefined : { logps: tf.zeros([pass.rows.targets.label.length]) };
        });
        hooks.beforeForward.tap(({ pass }) => void computed.push(String(pass.gradient)));
      });
      const { result } = await observe([tap], { evalEverySteps: 1 });
      expect(result.evaluation).toMatchObject({ eval_loss: 0, 'eval_logps/mean': 0 });
      expect(new Set(computed)).toEqual(new Set(['true']));

      const eager = plugin('alpha', ({ hooks }) => hooks.pass.tap(() => ({ logps: tf.zeros([6]) })));
      const error = await failureOf(() => observe([eager]));
      expect(error).toMatchObject({ code: 'PASS_NEEDS_GRADIENT', details: { pass: 'policy' } });
    },
  },
  lossTerms: {
    claim: 'adds terms to the loss, divided by the exact count of the step, and differentiated',
    async test() {
      const plain = await observe([], { gradientAccumulationSteps: 2 });
      const constant = plugin('alpha', ({ hooks }) => {
        hooks.lossTerms.tap(() => ({ constant: { sum: tf.scalar(6), per: 'row' } }));
      });
      const { records } = await observe([constant], { gradientAccumulationSteps: 2 });
      // 6 from each of two micro-batches, over the 4 rows of both
      expect((records[0]?.loss as number) - (plain.records[0]?.loss as number)).toBeCloseTo(3, 5);

      const opposite = plugin('alpha', ({ hooks }) => {
        hooks.lossTerms.tap(({ outputs }) => ({
          opposite: { sum: tf.sum(outputs.policy?.logps as tf.Tensor), per: 'token' },
        }));
      });
      const cancelled = await observe([opposite]);
      expect(cancelled.records[0]?.loss).toBeCloseTo(0, 6);
      expect(cancelled.records[0]?.grad_norm).toBeCloseTo(0, 6);

      const unknown = plugin('alpha', ({ hooks }) =>
        hooks.lossTerms.tap(() => ({ odd: { sum: tf.scalar(1), per: 'pair' } })),
      );
      const error = await failureOf(() => observe([unknown]));
      expect(error).toMatchObject({
        code: 'LOSS_COUNT_UNKNOWN',
        details: { name: 'odd', per: 'pair', known: 'row, token' },
      });
    },
  },
  gradient: {
    claim: "replaces a parameter's gradient as it appears, once in each micro-step",
    async test() {
      const seen: (string | number)[][] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.gradient.tap((value, { name, microStep }) => {
          seen.push([microStep, name]);
          return name === 'head.bias' ? tf.mul<tf.Tensor>(value, 3) : undefined;
        });
      });
      const accumulate = { gradientAccumulationSteps: 2 };
      const [plain] = (await observe([], accumulate)).gradients;
      const [scaled] = (await observe([tap], accumulate)).gradients;
      expect(scaled?.['head.weight']).toEqual(plain?.['head.weight']);
      scaled?.['head.bias']?.forEach((value, at) => {
        expect(value).toBeCloseTo(3 * (plain?.['head.bias']?.[at] as number), 6);
      });
      const names = ['head.weight', 'head.bias', 'embedding.weight'];
      expect(seen).toEqual([...names.map((name) => [0, name]), ...names.map((name) => [1, name])]);
    },
  },
  gradientsReady: {
    claim: 'reads and writes the accumulated gradients, before they are clipped',
    async test() {
      const norms: number[] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.gradientsReady.tap(async ({ gradients, step }) => {
          norms.push(step.index, await gradients.globalNorm());
          for (const name of gradients.names) {
            const value = gradients.read(name);
            gradients.write(name, tf.zerosLike(value));
            value.dispose();
          }
        });
      });
      const plain = await observe([], { gradientAccumulationSteps: 2 });
      const { records, initial, final } = await observe([tap], { gradientAccumulationSteps: 2 });
      expect(norms).toEqual([1, plain.records[0]?.grad_norm]);
      expect(records[0]?.grad_norm).toBe(0);
      expect(final).toEqual(initial);
    },
  },
  metrics: {
    claim: 'adds figures that are reduced over the step: weighted means, sums, maxima',
    async test() {
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.metrics.tap(({ batch, outputs, step }) => {
          expect(step?.index).toBe(1);
          const value = batch.position + 1; // 1, then 2
          return {
            mean: { value, reduce: 'mean' },
            weighted: { value, reduce: 'mean', weight: batch.position === 0 ? 1 : 3 },
            sum: { value: tf.scalar(value), reduce: 'sum' },
            max: { value, reduce: 'max' },
            logp: { value: tf.sum(outputs.policy?.logps as tf.Tensor), reduce: 'sum' },
          };
        });
      });
      const { records } = await observe([tap], { gradientAccumulationSteps: 2 });
      // (1 * 1 + 2 * 3) / 4 = 1.75
      expect(records[0]).toMatchObject({ mean: 1.5, weighted: 1.75, sum: 3, max: 2 });
      // 12 tokens in 2 batches of 2 rows of 3
      expect(records[0]?.logp).toBeCloseTo(-12 * (records[0]?.loss as number), 4);
    },
  },
  stepEnd: {
    claim: 'runs once after each optimizer step, never after a micro-step, with the record',
    async test() {
      const seen: (number | undefined)[][] = [];
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.stepEnd.tap(({ step, record }) => {
          seen.push([step.index, record.learning_rate]);
          expect(Object.keys(record).sort()).toEqual(['grad_norm', 'learning_rate', 'logps/mean', 'loss']);
        });
      });
      const { result, records } = await observe([tap], { steps: 2, gradientAccumulationSteps: 2 });
      expect(seen).toEqual([
        [1, 0.1],
        [2, 0.1],
      ]);
      expect(result.record).toEqual(records[1]);
    },
  },
} satisfies Partial<Record<HookName, Case>>;
