import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { Clock, checkpointFolder, definePlugin, type Plugin, Random, type StepRecord } from 'mooring';
import { givenRanks, inRanks, toyRun } from 'mooring/testing';
import { stopOnSignal } from '../../core/cli/interrupt.ts';
import { failureOf, plugin } from './support.ts';

test('reduces in the order of the ranks, and gathers what each has', async () => {
  const found = await inRanks(3, async ({ rank, allGather, reduceScatter, allReduce, broadcast }) => ({
    gathered: [
      ...(await allGather(
        Float32Array.from({ length: rank }, () => rank),
        [0, 1, 2],
        'parts',
      )),
    ],
    part: [...(await reduceScatter(Float32Array.of(rank, 10, 20, 30), [1, 0, 3], 'sum', 'sums'))],
    largest: [...(await allReduce(Float32Array.of(rank, 5 - rank), 'max', 'largest'))],
    told: [...(await broadcast(Uint8Array.of(rank, 7), 1, 'news'))],
  }));
  const both = { gathered: [1, 2, 2], largest: [2, 5], told: [1, 7] };
  expect(found).toEqual([[3], [], [30, 60, 90]].map((part) => ({ ...both, part })));
});

test('a rank that throws ends the others, which name it, its reason and what they waited for', async () => {
  const seen: string[] = [];
  const running = inRanks(3, async ({ rank, barrier }) => {
    if (rank === 1) throw new Error('out of paper');
    await barrier('the end').catch((error) => {
      seen.push(error.message);
      throw error;
    });
  });
  await expect(running).rejects.toThrow('out of paper');
  expect(seen).toHaveLength(2);
  expect(seen[0]).toMatch(/Rank 1 failed: out of paper.*the end/s);
});

test('runs a trainer on every rank, with the plugins of the first rank silent on the others', async () => {
  const called: number[] = [];
  const first = definePlugin({
    name: 'first-only',
    apiVersion: 1,
    ranks: 'first',
    apply: ({ hooks }) => hooks.trainBegin.tap(({ run }) => void called.push(run.rank)),
  });
  const records = await inRanks(2, async (collectives) => {
    const { trainer } = toyRun([first(), givenRanks(collectives)]);
    return (await trainer.train()).record as StepRecord;
  });
  expect(called).toEqual([0]);
  expect(records[1]).toEqual(records[0]);
});

test.each<[string, Plugin['apply']]>([
  ['taps the hook configure', ({ hooks }) => hooks.configure.tap((config) => config)],
  ['taps the hook modelDefined', ({ hooks }) => hooks.modelDefined.tap(() => undefined)],
  ['taps the hook settings', ({ hooks }) => hooks.settings.tap((settings) => ({ ...settings, learningRate: 0 }))],
  ['taps the hook pass', ({ hooks }) => hooks.pass.tap(() => undefined)],
  ['taps the hook lossTerms', ({ hooks }) => hooks.lossTerms.tap(() => ({}))],
  ['taps the hook gradientsReady', ({ hooks }) => hooks.gradientsReady.tap(({ gradients }) => gradients.clear())],
  ['taps the hook checkpointSave', ({ hooks }) => hooks.checkpointSave.tap(() => ({}))],
  ['provides the service Clock', ({ provide }) => provide(Clock, { uses: {}, create: () => performance })],
  ['decorates the service Random', ({ decorate }) => decorate(Random, { uses: {}, create: (random) => random })],
])('a plugin of the first rank that %s is refused before anything runs', (what, apply) => {
  const first = definePlugin({ name: 'first-only', apiVersion: 1, ranks: 'first', apply });
  const message = expect.stringMatching(new RegExp(`first-only .*${what}`));
  expect(() => toyRun([first()]).trainer.explain()).toThrow(
    expect.objectContaining({ code: 'RANKS_FIRST_CHANGES', message }),
  );
});

test('other ranks hear of a failure, once, before the failing one calls its taps', async () => {
  const order: string[] = [];
  const failing = definePlugin({
    name: 'failing',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.trainBegin.tap(() => {
        throw new Error('out of paper');
      });
      hooks.failure.tap(() => void order.push('failure'));
      hooks.teardown.tap(() => void order.push('teardown'));
    },
  });
  const running = inRanks(1, (collectives) => {
    const abort = (cause: string) => void order.push(`told: ${cause}`);
    return toyRun([failing(), givenRanks({ ...collectives, abort })]).trainer.train();
  });
  await expect(running).rejects.toMatchObject({ code: 'HOOK_FAILED' });
  expect(order).toEqual([expect.stringMatching(/^told: HOOK_FAILED: .*out of paper/), 'failure', 'teardown']);
});

test('a stop that one rank was asked for ends all after the same step', async () => {
  const stop = definePlugin({
    name: 'stop',
    apiVersion: 1,
    apply({ hooks }) {
      let ask: (() => void) | undefined;
      hooks.trainBegin.tap(({ run }) => {
        ask = () => run.rank === 1 && run.requestStop('enough');
      });
      hooks.stepBegin.tap(({ step }) => void (step.index === 2 && ask?.()));
    },
  });
  const ends = await inRanks(3, async (collectives) => {
    const { steps, stopReason } = await toyRun([stop(), givenRanks(collectives)]).trainer.train();
    return [steps, stopReason];
  });
  expect(ends).toEqual([2, 2, 2].map((steps) => [steps, 'enough']));
});

test('Ctrl-C on the first rank ends all after the same step', async () => {
  const interrupt = definePlugin({
    name: 'interrupt',
    apiVersion: 1,
    ranks: 'first',
    apply: ({ hooks }) => hooks.stepBegin.tap(({ step }) => void (step.index === 2 && process.emit('SIGINT'))),
  });
  const ends = await inRanks(3, async (collectives) => {
    const { trainer } = toyRun([interrupt(), givenRanks(collectives)]);
    const isFirst = collectives.rank === 0;
    const interruption = isFirst && stopOnSignal((reason) => trainer.requestStop(reason), { tell() {} });
    const { steps, stopReason } = await trainer.train();
    if (interruption) interruption.dispose();
    return [steps, stopReason];
  });
  expect(ends).toEqual([2, 2, 2].map((steps) => [steps, 'Ctrl-C']));
});

test('the first rank finds the checkpoint that all go on from', async () => {
  const output = mkdtempSync(path.join(tmpdir(), 'mooring-ranks-'));
  const saving = definePlugin({
    name: 'saving',
    apiVersion: 1,
    preservesTraining: true,
    apply: ({ hooks }) => hooks.trainEnd.tap(({ run }) => run.saveState(checkpointFolder(output, run.step))),
  });
  await toyRun([saving()], { steps: 2 }, output).trainer.train();
  mkdirSync(checkpointFolder(output, 3)); // of a run that died before there was anything in it
  const whole = await toyRun([], { steps: 4 }).trainer.train();
  const resumed = await inRanks(3, async (collectives) => {
    const { trainer, logged } = toyRun([givenRanks(collectives)], { steps: 4 }, output);
    const { record } = await trainer.train({ resume: true });
    return { record, passedOver: logged.filter(({ message }) => message.includes('passed over')).length };
  });
  expect(resumed).toEqual([1, 0, 0].map((passedOver) => ({ record: whole.record, passedOver })));
  rmSync(output, { recursive: true });
});

test('a checkpoint that is not whole, or of another run, is refused on all ranks alike', async () => {
  const output = mkdtempSync(path.join(tmpdir(), 'mooring-ranks-'));
  const saved = checkpointFolder(output, 2);
  const saving = plugin('saving', ({ hooks }) => hooks.trainEnd.tap(({ run }) => run.saveState(saved)));
  await toyRun([saving], { steps: 2 }, output).trainer.train();
  const codesOf = async (resume: string, seed: number) => {
    const errors = await inRanks(3, (collectives) =>
      failureOf(() => toyRun([givenRanks(collectives)], { seed }, output).trainer.train({ resume })),
    );
    return errors.map(({ code }) => code);
  };
  expect(await codesOf(path.join(output, 'absent'), 42)).toEqual(Array(3).fill('CHECKPOINT_TORN'));
  expect(await codesOf(saved, 7)).toEqual(Array(3).fill('CHECKPOINT_DIFFERS'));
  rmSync(output, { recursive: true });
});
