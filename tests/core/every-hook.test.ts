import { mkdtemp, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { type HookName, hookNames, hookTable } from 'mooring';
import { toyRun, watch } from 'mooring/testing';
import { insideABlock } from './every-hook/block.ts';
import { aroundCheckpoints, saving } from './every-hook/checkpoint.ts';
import type { Case } from './every-hook/observe.ts';
import { aroundTheSteps } from './every-hook/run.ts';
import { insideAStep } from './every-hook/step.ts';
import { failureOf, plugin } from './support.ts';

// a hook without a case does not compile
const cases: Record<HookName, Case> = {
  ...aroundTheSteps,
  ...insideAStep,
  ...insideABlock,
  ...aroundCheckpoints,
};

for (const hook of hookNames) test(`${hook} ${cases[hook].claim}`, cases[hook].test);

test('every hook is called with exactly the arguments that the table lists, value first where it has one', async () => {
  const output = await mkdtemp(path.join(os.tmpdir(), 'mooring-hooks-'));
  const watcher = watch();
  const run = () =>
    toyRun([watcher.plugin, saving(path.join(output, 'state'))], { steps: 3, evalEverySteps: 1 }, output);
  await run().trainer.train();
  await run().trainer.train({ resume: path.join(output, 'state') });
  const failing = plugin('failing', ({ hooks }) => {
    hooks.setup.tap(() => {
      throw new TypeError('boom');
    });
  });
  await failureOf(() => toyRun([watcher.plugin, failing]).trainer.train());
  await rm(output, { recursive: true });
  expect(new Set(watcher.hooks())).toEqual(new Set(hookNames));
  for (const { hook, args } of watcher.calls) {
    const { kind, args: listed } = hookTable[hook];
    expect([hook, args.length]).toEqual([hook, kind.endsWith('waterfall') ? 2 : 1]);
    expect([hook, Object.keys(args.at(-1) as object).sort()]).toEqual([hook, [...listed].sort()]);
  }
});

test('the table is in the order in which a run first calls its hooks', async () => {
  const output = await mkdtemp(path.join(os.tmpdir(), 'mooring-hooks-'));
  const watcher = watch();
  const run = () => toyRun([watcher.plugin, saving(path.join(output, 'state'), 3)], { steps: 4 }, output);
  await run().trainer.train();
  await rename(path.join(output, 'state'), path.join(output, 'former'));
  watcher.calls.length = 0;
  await toyRun([watcher.plugin, saving(path.join(output, 'state'), 4)], { steps: 4 }, output).trainer.train({
    resume: path.join(output, 'former'),
  });
  await rm(output, { recursive: true });
  // it resumes, so that `checkpointLoad` is called: `batch` runs ahead, `evaluate` and the epochs' where they fall, `failure` not at all
  const exempt = new Set<HookName>(['batch', 'evaluate', 'evaluated', 'epochEnd', 'failure']);
  const called = [...new Set(watcher.hooks())].filter((hook) => !exempt.has(hook));
  expect(called).toEqual(hookNames.filter((hook) => !exempt.has(hook)));
});
