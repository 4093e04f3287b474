import { describe, expect, test } from '@jest/globals';
import type { Run } from 'mooring';
import { readInstalled } from '../../core/engine/install/cache.ts';
import { expectSame } from './compiled.ts';
import { type Observed, observe } from './every-hook/observe.ts';
import { plugin } from './support.ts';

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;

/** What was logged of compiling, each line behind its level. */
const linesOf = ({ logged }: Observed) =>
  logged.filter(({ message }) => message.startsWith('compile')).map(({ level, message }) => `${level} ${message}`);

/** Ends a run after two steps, however many it has. */
const stopping = () => {
  let run: Run | undefined;
  return plugin('stopping', ({ hooks }) => {
    hooks.trainBegin.tap((begun) => {
      run = begun.run;
    });
    hooks.stepEnd.tap(({ step }) => {
      if (step.index === 2) run?.requestStop('two are enough');
    });
  });
};

ifInstalled('on the native engine', () => {
  const native = { engine: 'native', steps: 2 } as const;

  test('auto leaves a short run eager, and says so', async () => {
    const run = await observe([], { ...native, compile: 'auto' });
    expect(linesOf(run)).toEqual([expect.stringMatching(/^info .*auto.*too short/)]);
  });

  test('auto compiles a run that is long enough, and says so', async () => {
    const run = await observe([stopping()], { ...native, compile: 'auto', steps: 1e10 });
    expect(run.result.steps).toBe(2);
    expect(linesOf(run)).toEqual([
      expect.stringMatching(/^info .*auto.*compiles/),
      expect.stringMatching(/^info .*padded, rows to 4 tokens/),
      expect.stringMatching(/^info .*[1-9]\d* executables/),
    ]);
    expectSame(run, await observe([], { ...native, compile: 'off' }));
  });

  test('on compiles also a short run, and off compiles none', async () => {
    const on = await observe([], { ...native, compile: 'on' });
    expect(linesOf(on)).toEqual([
      expect.stringMatching(/^info .*padded/),
      expect.stringMatching(/^info .*executables/),
    ]);
    const off = await observe([stopping()], { ...native, compile: 'off', steps: 1e10 });
    expect(linesOf(off)).toEqual([]);
    expectSame(on, off);
  });
});

describe.each(['wasm', 'cpu'] as const)('on %s, where nothing compiles,', (engine) => {
  test('on warns once and gives the figures of off', async () => {
    const on = await observe([], { engine, steps: 2, compile: 'on' });
    expect(linesOf(on)).toEqual([expect.stringMatching(/^warn .*native.*eagerly/)]);
    expectSame(on, await observe([], { engine, steps: 2, compile: 'off' }));
  });

  test('auto says nothing', async () => {
    expect(linesOf(await observe([stopping()], { engine, steps: 1e10, compile: 'auto' }))).toEqual([]);
  });
});
