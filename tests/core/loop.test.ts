import { expect, test } from '@jest/globals';
import { definePlugin, type Gradients, hookNames } from 'mooring';
import { toyRun, watch } from 'mooring/testing';

test('a run calls its hooks in lifecycle order', async () => {
  const watcher = watch();
  await toyRun([watcher.plugin], { steps: 1 }).trainer.train();
  const seen = watcher.hooks();
  expect(seen.slice(0, 6)).toEqual(['configure', 'setup', 'modelDefined', 'modelReady', 'refInit', 'trainBegin']);
  const block = (side: string) => seen.filter((hook) => hook.endsWith(side)).length;
  expect(block('Forward')).toBe(4); // two blocks, before and after each
  expect(block('Backward')).toBe(4);
  expect(seen.slice(-5)).toEqual(['gradientsReady', 'stepEnd', 'betweenSteps', 'trainEnd', 'teardown']);
});

test('the loss falls, and every figure of the record is finite', async () => {
  const losses: number[] = [];
  const spy = definePlugin({
    name: 'spy',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.stepEnd.tap(({ record }) => {
        losses.push(record.loss as number);
        for (const figure of Object.values(record)) expect(Number.isFinite(figure)).toBe(true);
      });
    },
  });
  await toyRun([spy()], { steps: 12 }).trainer.train();
  expect(losses).toHaveLength(12);
  expect(losses[11] as number).toBeLessThan((losses[0] as number) / 2);
});

test('accumulating two micro-batches gives the gradients of one large batch', async () => {
  const seen: Record<string, number[]>[] = [];
  const spy = definePlugin({
    name: 'spy',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.gradientsReady.tap(({ gradients }) => void seen.push(read(gradients)));
    },
  });
  const { toy } = await import('mooring/testing');
  await toyRun([spy()], { steps: 1, gradientAccumulationSteps: 2 })
    .trainer.remove('toy')
    .use(toy({ batches: 2, rows: 1 }))
    .train();
  await toyRun([spy()], { steps: 1 })
    .trainer.remove('toy')
    .use(toy({ batches: 1, rows: 2 }))
    .train();
  for (const [name, values] of Object.entries(seen[0] as object)) {
    (values as number[]).forEach((value, at) => {
      expect(value).toBeCloseTo(seen[1]?.[name]?.[at] as number, 6);
    });
  }
});

test('every hook of the table is listed once', () => {
  expect(new Set(hookNames).size).toBe(hookNames.length);
});

function read(gradients: Gradients): Record<string, number[]> {
  return Object.fromEntries(
    gradients.names.map((name) => {
      const tensor = gradients.read(name);
      const values = Array.from(tensor.dataSync());
      tensor.dispose();
      return [name, values];
    }),
  );
}
