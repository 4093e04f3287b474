import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../../../core/engine/compile/compile.ts';
import { types } from '../../../../core/engine/compile/graph.ts';
import { record } from '../../../../core/engine/compile/record.ts';
import { readInstalled } from '../../../../core/engine/install/cache.ts';
import { failureOf } from '../../support.ts';
import {
  compiled,
  described,
  eagerly,
  expectAlike,
  type Native,
  openNative,
  sample,
  specOf,
  specsOf,
  type TensorFunction,
} from './support.ts';

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;

ifInstalled('the compiler', () => {
  let native: Native;
  let x: tf.Tensor;
  let before: { tensors: number; sessions: number };
  const counted = () => ({ tensors: tf.memory().numTensors, sessions: native.backend.getNumOfSavedModels() });
  beforeEach(async () => {
    native = await openNative();
    before = counted();
    x = sample([2, 3]);
  });
  afterEach(() => {
    native.compiler.dispose();
    x.dispose();
    expect(counted()).toEqual(before);
  });

  const compileFor = (fn: TensorFunction<'x'>) => compile(native.compiler, { x: specOf(x) }, fn);
  const valuesOf = (tensor: tf.Tensor) => Array.from(tensor.dataSync());

  describe('refuses, and leaves the engine as it was:', () => {
    const outside: Record<'uploaded' | 'waiting', tf.Tensor | undefined> = { uploaded: undefined, waiting: undefined };
    const add = (tensor: tf.Tensor | undefined) => tf.add(tensor as tf.Tensor, 1);
    beforeEach(() => {
      outside.uploaded = tf.scalar(5);
      tf.dispose(add(outside.uploaded));
      outside.waiting = tf.scalar(5);
    });
    afterEach(() => tf.dispose(Object.values(outside)));
    const refused: Record<string, [code: string, details: object, fn: TensorFunction<'x'>]> = {
      'an operation that it does not know': [
        'COMPILE_OPERATION',
        { operation: 'TopKV2' },
        ({ x }) => [tf.topk(x, 2).values],
      ],
      'one in the midst of a gradient': [
        'COMPILE_OPERATION',
        { operation: 'Einsum' },
        ({ x }) => [tf.grad((y) => y.mul(tf.einsum('ij,ij->', y, y)).sum())(x as tf.Tensor)],
      ],
      'a tensor that is no input': [
        'COMPILE_FOREIGN_TENSOR',
        { operation: 'Mul' },
        ({ x }) => [x.mul(outside.uploaded as tf.Tensor)],
      ],
      'one whose values TensorFlow has not got yet': [
        'COMPILE_FOREIGN_TENSOR',
        { operation: 'Mul' },
        ({ x }) => [x.mul(outside.waiting as tf.Tensor)],
      ],
      'a read value': ['COMPILE_READS_VALUE', {}, ({ x }) => [x.mul(x.sum().dataSync()[0] as number)]],
      'a read element': [
        'COMPILE_READS_VALUE',
        {},
        ({ x }) => [x.mul((x.arraySync() as number[][])[0]?.[1] as number)],
      ],
    };
    test.each(Object.entries(refused))('%s', async (_, [code, details, fn]) => {
      expect(await failureOf(() => compileFor(fn))).toMatchObject({ code, details });
      for (const tensor of Object.values(outside)) expect(described([add(tensor)])).toMatchObject([{ values: [6] }]);
      const double: TensorFunction<'x'> = ({ x }) => [x.mul(2)];
      expectAlike(compiled(native, { x }, double), eagerly({ x }, double));
    });

    test('whatever else fails in the function, with the error as it was', async () => {
      const error = new TypeError('boom');
      const failing = () =>
        compileFor(({ x }) =>
          tf.grads((y) => {
            if (y.shape.length > 0) throw error;
            return y;
          })([x]),
        );
      expect(failing).toThrow(error);
      expectAlike(
        eagerly({ x }, ({ x }) => [tf.grad((y) => y.square().sum())(x)]),
        eagerly({ x }, ({ x }) => [x.mul(2)]),
      );
    });

    test('what TensorFlow cannot compile, when it is run', async () => {
      const ids = tf.tensor1d([1, 2], 'int32');
      const sine = ({ ids }: { ids: tf.Tensor }) => [native.backend.executeSingleOutput('Sin', [], [ids])];
      const run = compile(native.compiler, specsOf({ ids }), sine);
      for (const _ of [1, 2]) expect(await failureOf(() => run({ ids }))).toMatchObject({ code: 'COMPILE_FAILED' });
      expect(native.compiler.size).toBe(0);
      ids.dispose();
    });
  });

  test('executes nothing while it records', () => {
    const { backend } = native;
    const { binding } = backend;
    const calls: string[] = [];
    const watch = (name: string) => ({
      value: (...args: unknown[]) => {
        calls.push(name);
        return Reflect.apply(Reflect.get(binding, name), binding, args);
      },
    });
    Reflect.set(
      backend,
      'binding',
      Object.create(binding, { executeOp: watch('executeOp'), createTensor: watch('createTensor') }),
    );
    try {
      compileFor(({ x }) =>
        tf.grads((y: tf.Tensor) =>
          tf
            .softmax(y.mul(2).add(tf.ones([3])))
            .square()
            .sum(),
        )([x]),
      );
      expect(calls).toEqual([]);
      tf.tidy(() => void x.add(1));
      expect(calls).toContain('executeOp');
    } finally {
      Reflect.set(backend, 'binding', binding);
    }
  });

  test('takes no memory for what it records: matrices of 40 GB', () => {
    const resident = process.memoryUsage.rss();
    const spec = { shape: [100_000, 100_000], type: types.float32 };
    const row = { shape: [100_000], type: types.float32 };
    const inputs = { x: spec, y: spec, weight: row, dy: spec };
    const specs = record(native.backend, inputs, ({ tensors, standsFor }) => {
      const { x, y, weight, dy } = tensors as Record<keyof typeof inputs, tf.Tensor>;
      const fn = (x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor) =>
        tf.logSoftmax(tf.matMul(tf.softmax(x), y.mul(weight)));
      return tf.grads(fn)([x, y, weight], dy).map(standsFor);
    });
    expect(specs.map(({ shape, type }) => ({ shape, type }))).toEqual([spec, spec, row]);
    expect(process.memoryUsage.rss() - resident).toBeLessThan(2 ** 26);
  });

  test('shares one executable among equal functions, whatever their inputs are called', () => {
    const run = (fn: TensorFunction<'x'>) => tf.dispose(compileFor(fn)({ x }));
    const shifted =
      (by: number): TensorFunction<'x'> =>
      ({ x }) => [x.square().add(by)];
    run(shifted(1));
    run(shifted(1));
    const renamed = { layer_7: x };
    tf.dispose(compile(native.compiler, specsOf(renamed), ({ layer_7 }) => [layer_7.square().add(1)])(renamed));
    expect(native.compiler.size).toBe(1);
    const others: TensorFunction<'x'>[] = [shifted(2), ({ x }) => [x.abs().add(1)], ({ x }) => [x.square().add(1), x]];
    others.forEach(run);
    const taller = sample([4, 3]);
    compiled(native, { x: taller }, shifted(1));
    taller.dispose();
    expect(native.compiler.size).toBe(5);
  });

  test('reads inputs anew at every run, and changes none of them', () => {
    const run = compileFor(({ x }) => [x.mul(2), x]);
    const values = valuesOf(x);
    for (const factor of [1, -3]) {
      const input = tf.tidy(() => x.mul<tf.Tensor>(factor));
      const [doubled, same] = run({ x: input }) as [tf.Tensor, tf.Tensor];
      expect(valuesOf(doubled)).toEqual(values.map((value) => Math.fround(2 * Math.fround(factor * value))));
      tf.dispose([doubled, input]);
      expect(valuesOf(same)).toEqual(values.map((value) => Math.fround(factor * value)));
      same.dispose();
    }
    expect(valuesOf(x)).toEqual(values);
  });

  test('follows chains of thousands of operations', () => {
    const chain: TensorFunction<'x'> = ({ x }) => [Array.from({ length: 2000 }).reduce<tf.Tensor>((y) => y.neg(), x)];
    expectAlike(
      compiled(native, { x }, chain),
      eagerly({ x }, ({ x }) => [x]),
    );
  });

  test('lets its executables go when it is disposed', () => {
    for (const by of [1, 2]) tf.dispose(compileFor(({ x }) => [x.add(by)])({ x }));
    expect(counted().sessions).toBe(before.sessions + 2);
    native.compiler.dispose();
    expect(counted().sessions).toBe(before.sessions);
    expect(native.compiler.size).toBe(0);
  });
});
