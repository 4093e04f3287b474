import { expect, test } from '@jest/globals';
import { definePlugin, EvaluationData, type StepRecord, type TextBatch } from 'mooring';
import { toyRun } from 'mooring/testing';
import { observe } from './every-hook/observe.ts';
import { failureOf, plugin, textBatch } from './support.ts';

/** Evaluation data in place of the toy's, which counts how often it was opened and closed. */
function replaced(batches: readonly TextBatch[], batchesPerEpoch = batches.length) {
  const seen = { opened: 0, closed: 0 };
  const provider = plugin('alpha', ({ provide }) => {
    provide(EvaluationData, {
      replaces: 'toy',
      uses: {},
      create: () => ({
        fingerprint: 'november',
        batchesPerEpoch,
        async *open() {
          seen.opened++;
          try {
            yield* batches;
          } finally {
            seen.closed++;
          }
        },
      }),
    });
  });
  return { provider, seen };
}

test('evaluates the weights as they are: the figures of a training step that does not move', async () => {
  const { result, records } = await observe([], {
    steps: 1,
    gradientAccumulationSteps: 3, // the toy's three batches, which are its evaluation data too
    learningRate: 0,
    evalEverySteps: 1,
  });
  expect(result.evaluation?.eval_loss).toBeCloseTo(records[0]?.loss as number, 6);
  expect(result.evaluation?.['eval_logps/mean']).toBeCloseTo(records[0]?.['logps/mean'] as number, 6);
});

test('an evaluation in the middle of a step changes nothing in the training', async () => {
  const evaluations: StepRecord[] = [];
  const curious = definePlugin({
    name: 'curious',
    apiVersion: 1,
    apply({ hooks }) {
      let evaluate: () => Promise<StepRecord>;
      hooks.trainBegin.tap(({ run }) => {
        evaluate = () => run.evaluate();
      });
      hooks.gradientsReady.tap(async () => void evaluations.push(await evaluate()));
    },
  });
  const train = { steps: 3, gradientAccumulationSteps: 2, evalEverySteps: 3 };
  const plain = await observe([], train);
  const watched = await observe([curious()], train);
  expect(evaluations).toHaveLength(3);
  expect(watched.records).toEqual(plain.records);
  expect(watched.final).toEqual(plain.final);
});

test('differentiates nothing and draws no dropout', async () => {
  const passes: { gradient: boolean; dropout: unknown }[] = [];
  let backward = 0;
  const tap = plugin('bravo', ({ hooks }) => {
    hooks.pass.tap(({ pass }) => void passes.push({ gradient: pass.gradient, dropout: pass.dropout }));
    hooks.beforeBackward.tap(() => void backward++);
  });
  await observe([tap], { steps: 1, disableDropout: false, evalEverySteps: 1 });
  expect(passes).toEqual([
    { gradient: true, dropout: { seed: 42, step: 1 } },
    ...[1, 2, 3].map(() => ({ gradient: false, dropout: undefined })),
  ]);
  expect(backward).toBe(2); // the two blocks of the one training pass
});

test('the settings of an evaluation know the epoch', async () => {
  const seen: string[] = [];
  const tap = plugin('bravo', ({ hooks }) => {
    hooks.settings.tap((_, { step }) => void seen.push(`step ${step.index} epoch ${step.epoch}`));
  });
  await observe([tap], { steps: 4, evalEverySteps: 4 });
  expect(seen.slice(-2)).toEqual(['step 4 epoch 1', 'step 4 epoch 1']); // three batches an epoch
});

test('reads evaluation data once through, no further, and closes it', async () => {
  const endless = replaced([0, 1, 2, 3].map(textBatch), 2);
  const { result } = await observe([endless.provider], { evalEverySteps: 1 });
  expect(endless.seen).toEqual({ opened: 1, closed: 1 });
  expect(result.evaluation?.eval_loss).toEqual(expect.any(Number));
  const short = replaced([textBatch(0)], 5);
  expect((await observe([short.provider], { evalEverySteps: 1 })).result.evaluation?.eval_loss).toBeGreaterThan(0);
});

test('closes the evaluation data when an evaluation fails', async () => {
  const wrong = replaced([Object.assign(textBatch(), { kind: 'sound' as never })]);
  const error = await failureOf(() => toyRun([wrong.provider], { evalEverySteps: 1 }).trainer.train());
  expect(error.code).toBe('OBJECTIVE_BATCH_KIND');
  expect(wrong.seen).toEqual({ opened: 1, closed: 1 });
});

test('says at once when there is nothing to evaluate on', async () => {
  const none = plugin('none', ({ provide }) => {
    provide(EvaluationData, { replaces: 'toy', uses: {}, create: () => undefined });
  });
  expect((await failureOf(() => toyRun([none], { evalEverySteps: 2 }).trainer.train())).code).toBe(
    'NO_EVALUATION_DATA',
  );
  const asking = plugin('asking', ({ hooks }) => hooks.trainBegin.tap(async ({ run }) => void (await run.evaluate())));
  const { code, place } = await failureOf(() => toyRun([asking]).trainer.train());
  expect(code).toBe('NO_EVALUATION_DATA');
  expect(place).toMatchObject({ plugin: 'asking', hook: 'trainBegin' });
});
