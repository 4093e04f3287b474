import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type EngineName, openEngine } from '../../../core/engine/engine.ts';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import {
  applyTensorflowSettings,
  divideProcessors,
  restoreRemovedUtil,
  tensorflowSettings,
} from '../../../core/engine/settings.ts';

const isInstalled = readInstalled() !== undefined;
const available: EngineName[] = isInstalled ? ['native', 'wasm', 'cpu'] : ['wasm', 'cpu'];
const ifInstalled = isInstalled ? test : test.skip;

describe('choosing', () => {
  let folder: string;
  const lines: string[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mooring-'));
    lines.length = 0;
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
    delete process.env.MOORING_ENGINE;
    delete process.env.MOORING_CACHE;
  });
  const open = (choice?: Parameters<typeof openEngine>[0]) => openEngine(choice, (line) => lines.push(line));

  test.each(available)('opens %s by name', async (name) => {
    const engine = await open(name);
    expect(engine).toMatchObject({ name, version: expect.stringMatching(/^\d+\.\d+/) });
    expect(tf.getBackend()).toBe(name === 'native' ? 'tensorflow' : name);
    expect(lines).toEqual([]);
  });

  ifInstalled('takes the native engine where it is installed', async () => {
    expect((await open()).name).toBe('native');
    expect(lines).toEqual([]);
  });

  test('falls back to wasm, and says in one line how much slower it is and what to do', async () => {
    process.env.MOORING_CACHE = folder;
    expect((await open()).name).toBe('wasm');
    expect(lines).toEqual([expect.stringMatching(/about \d+ times as long.*`mooring engine install`/)]);
    expect(lines[0]).not.toContain('\n');
  });

  test('lets MOORING_ENGINE decide only what the caller leaves open', async () => {
    process.env.MOORING_ENGINE = 'cpu';
    expect((await open()).name).toBe('cpu');
    expect((await open('wasm')).name).toBe('wasm');
  });

  test('refuses an engine that there is not', async () => {
    process.env.MOORING_ENGINE = 'webgpu';
    await expect(open()).rejects.toMatchObject({ code: 'ENGINE_UNKNOWN', details: { origin: 'MOORING_ENGINE' } });
  });

  test('refuses the native engine by name where it is not installed', async () => {
    process.env.MOORING_CACHE = folder;
    await expect(open('native')).rejects.toMatchObject({ code: 'ENGINE_NOT_INSTALLED' });
  });

  test('leaves the process as it was: the wasm loader keeps no handler of errors', async () => {
    const before = process.listenerCount('unhandledRejection');
    await open('wasm');
    expect(process.listenerCount('unhandledRejection')).toBe(before);
  });
});

describe.each(available)('memory of %s', (name) => {
  test('counts tensors, buffers and bytes, and all of them go', async () => {
    const engine = await openEngine(name);
    const before = engine.memory();
    const floats = tf.zeros([3, 4]);
    const integers = tf.tensor1d([1, 2], 'int32');
    expect(engine.memory()).toEqual({
      tensors: before.tensors + 2,
      buffers: before.buffers + 2,
      bytes: before.bytes + 56,
    });
    tf.dispose([floats, integers]);
    expect(engine.memory()).toEqual(before);
  });

  test('counts a shared buffer once, until its last tensor goes', async () => {
    const engine = await openEngine(name);
    const before = engine.memory().bytes;
    const original = tf.ones([5, 2]);
    const alias = original.clone();
    expect(engine.memory().bytes - before).toBe(40);
    original.dispose();
    expect(engine.memory().bytes - before).toBe(40);
    expect(Array.from(alias.dataSync())).toEqual(Array(10).fill(1));
    alias.dispose();
    expect(engine.memory().bytes - before).toBe(0);
  });

  test('a tensor under another shape has no bytes of its own', async () => {
    const engine = await openEngine(name);
    const original = tf.ones([6, 2]);
    const before = engine.memory().bytes;
    const others = [
      original.reshape([3, 4]),
      original.expandDims(0),
      tf.tidy(() => original.reshape([12]).reshape([4, 3])),
    ];
    expect(engine.memory().bytes).toBe(before);
    tf.dispose([original, ...others]);
    expect(engine.memory().bytes).toBe(before - 48);
  });

  test('the peak is the most bytes that there were at once since the engine was opened', async () => {
    const large = tf.zeros([100]);
    const engine = await openEngine(name);
    const before = engine.memory().bytes;
    expect(engine.peakBytes()).toBe(before);
    tf.tidy(() => tf.zeros([10]).add(1));
    expect(engine.peakBytes()).toBeGreaterThanOrEqual(before + 80);
    large.dispose();
    expect(engine.peakBytes()).toBeGreaterThanOrEqual(before + 80);
  });

  test('is the same after a gradient as before', async () => {
    const engine = await openEngine(name);
    const x = tf.tensor2d([
      [1, 2],
      [3, 4],
    ]);
    const before = engine.memory();
    tf.tidy(() => {
      tf.grad((y) => tf.matMul(tf.gather(y, tf.tensor1d([1, 0], 'int32')), y).sum())(x);
    });
    expect(engine.memory()).toEqual(before);
    x.dispose();
  });
});

describe('settings', () => {
  test('are set where the user has none', () => {
    const environment: NodeJS.ProcessEnv = {};
    applyTensorflowSettings(environment);
    expect(environment).toEqual(tensorflowSettings);
  });

  test('never replace the user’s own, not even an empty one', () => {
    const own = { TF_CPP_MIN_LOG_LEVEL: '0', TF_CPU_ALLOCATOR_USE_BFC: '' };
    const environment = { ...own };
    applyTensorflowSettings(environment);
    expect(environment).toEqual(own);
  });

  test.each([
    ['processes', 2, 8, '4'],
    ['processes', 3, 8, '2'],
    ['processes', 7, 2, '1'],
    // threads share the pool of their process, or do without where there is a processor for each at most
    ['threads', 2, 8, '8'],
    ['threads', 2, 2, '1'],
    ['threads', 7, 2, '1'],
  ] as const)('divide the processors: as %s, %d ranks on %d give %s', (where, ranks, processors, threads) => {
    const environment: NodeJS.ProcessEnv = {};
    divideProcessors(ranks, where, { environment, processors });
    expect(environment).toEqual({ TF_NUM_INTRAOP_THREADS: threads });
    divideProcessors(ranks + 7, where, { environment, processors });
    expect(environment).toEqual({ TF_NUM_INTRAOP_THREADS: threads });
  });

  test('touch no variable of OpenMP or OpenBLAS', () => {
    expect(Object.keys(tensorflowSettings).filter((name) => !name.startsWith('TF_'))).toEqual([]);
  });

  test('give a util of Node 23 back what tfjs-node calls', () => {
    const util: { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean } = {};
    restoreRemovedUtil(util);
    expect([null, undefined, 0, ''].map((value) => util.isNullOrUndefined?.(value))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([[], {}].map((value) => util.isArray?.(value))).toEqual([true, false]);
  });
});
