import { afterAll, beforeAll, describe, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { readInstalled } from '../../../../core/engine/install/cache.ts';
import { type Operation, operations, shapes } from '../operations.ts';
import {
  compiled,
  eagerly,
  expectAlike,
  type Native,
  openNative,
  sample,
  type TensorFunction,
  type Tensors,
} from './support.ts';

const ifInstalled = readInstalled() === undefined ? describe.skip : describe;

ifInstalled('compiled and run operation by operation it is the same:', () => {
  let native: Native;
  beforeAll(async () => {
    native = await openNative();
  });
  afterAll(() => native.compiler.dispose());

  const expectSame = <Name extends string>(inputs: Tensors<Name>, fn: TensorFunction<Name>) => {
    expectAlike(compiled(native, inputs, fn), eagerly(inputs, fn));
    tf.dispose(Object.values<tf.Tensor>(inputs));
  };

  describe('what decoders, losses and adapters are written with, and its gradients,', () => {
    const known = Object.entries(operations).filter(([name]) => name !== 'largest few');
    test.each(known)('%s', (_, operation) => {
      const inputs = operation.inputs.map((name, at) => [`x${at}`, sample(shapes[name], at, name === 'positive')]);
      expectSame(Object.fromEntries(inputs), valueAndGradients(operation));
    });
  });

  const x = (shape = [3, 4]) => ({ x: sample(shape) });
  const int = (values: number[], shape = [values.length]) => tf.tensor(values, shape, 'int32');
  const example =
    <Name extends string>(inputs: () => Record<Name, tf.Tensor>, fn: TensorFunction<Name>) =>
    () =>
      expectSame(inputs(), fn);
  const cases: Record<string, () => void> = {
    'several outputs, one of them twice': example(x, ({ x }) => [x.exp(), x.sum(0), x.exp(), x.cast('int32')]),
    'outputs of one operation': example(x, ({ x }) => tf.split(x, [1, 2, 1], 1)),
    'an output that is an input': example(x, ({ x }) => [x, x.neg(), x]),
    'an input that is not read': example(
      () => ({ x: sample([2]), y: sample([3]) }),
      ({ y }) => [y.square()],
    ),
    'an output that is a constant': example(x, ({ x }) => [tf.fill([2, 2], 3), x.add(1)]),
    'a function of nothing': example(
      () => ({}),
      () => [tf.range(0, 4).mul(2)],
    ),
    'a uniform constant': example(x, ({ x }) => [x.add(tf.tensor(new Float32Array(12).fill(0.1), [3, 4]))]),
    'a constant of one value': example(x, ({ x }) => [x.mul(tf.tensor([0.3], [1, 1])), x.add(tf.scalar(-7.25))]),
    'a large constant': example(
      () => x([300, 100]),
      ({ x }) => [
        x.mul(
          tf.tensor(
            Float32Array.from({ length: 30_000 }, (_, at) => Math.sin(at)),
            [300, 100],
          ),
        ),
      ],
    ),
    'a constant that is not finite': example(x, ({ x }) => [
      x.add(tf.tensor1d([0, -Infinity, Infinity, Number.NaN])),
      x.mul(tf.tensor1d([-0, 0, -0, 0])),
    ]),
    integers: example(
      () => ({ a: int([7, -7, 3, 5]), b: int([2, 2, -2, 5]) }),
      ({ a, b }) => [
        a.add(b),
        a.sub(b),
        a.mul(b),
        a.maximum(b),
        a.minimum(int([1, 2, 3, 4])),
        a.floorDiv(b),
        a.mod(int([2, 2, 2, 2])),
        a.equal(b),
        a.neg(),
        a.abs(),
        a.sum(),
        tf.cumsum(a, 0, true, true),
        a.cast('float32').div(3),
      ],
    ),
    'truth values': example(
      () => ({ a: tf.tensor1d([1, 1, 0, 0], 'bool'), b: tf.tensor1d([1, 0, 1, 0], 'bool') }),
      ({ a, b }) => [
        a.logicalAnd(b),
        a.logicalOr(tf.tensor1d([0, 0, 0, 1], 'bool')),
        a.logicalNot(),
        a.all(),
        b.any(0, true),
        a.cast('float32'),
        tf.where(a, int([1, 2, 3, 4]), int([5, 6, 7, 8])),
      ],
    ),
    'functions of one number': example(x, ({ x }) => [
      ...[x.exp(), tf.expm1(x), x.abs().add(1).log(), x.abs().log1p(), x.square(), x.abs().sqrt(), x.sigmoid()],
      ...[x.tanh(), x.erf(), x.sign(), x.sin(), x.cos(), x.tan(), x.sinh(), x.cosh(), x.atan(), x.asinh()],
      ...[x.div(3).asin(), x.div(3).acos(), x.div(3).atanh(), x.abs().add(2).acosh(), x.reciprocal()],
      ...[x.floor(), x.ceil(), x.round(), x.abs().rsqrt(), x.step(0.5), x.relu(), x.relu6(), x.elu(), x.selu()],
      ...[x.leakyRelu(0.3), x.softplus(), x.logSigmoid(), x.prelu(tf.scalar(0.2)), x.clipByValue(-1, 0.5)],
      ...[x.onesLike(), x.zerosLike(), x.isNaN(), x.div(x.relu()).isFinite(), x.div(x.relu()).isInf()],
    ]),
    'functions of two numbers': example(
      () => ({ a: sample([3, 4], 1), b: sample([4], 2), c: sample([3, 1], 3, true) }),
      ({ a, b, c }) => [
        ...[a.add(b), a.sub(c), b.mul(c), a.div(c), c.pow(a), a.maximum(b), a.minimum(b), a.squaredDifference(b)],
        ...[a.mod(c), a.floorDiv(c), a.atan2(b), tf.addN([a, a, a])],
        ...[a.greater(b), a.greaterEqual(a), a.less(b), a.lessEqual(b), a.equal(a), a.notEqual(b)],
      ],
    ),
    reductions: example(
      () => x([2, 3, 4]),
      ({ x }) => [
        ...[x.sum(), x.sum([0, 2]), x.mean(-1, true), x.max(1), x.min([1, 2], true), x.prod(0), x.argMax(-1)],
        ...[x.argMin(0), x.cumsum(1), x.cumsum(2, true), x.cumsum(0, false, true), x.cumprod(1), x.norm(2, -1)],
        ...[x.logSumExp(-1), x.greater(-1.9).all(2), tf.moments(x, [0, 1]).variance],
      ],
    ),
    products: example(
      () => ({ a: sample([2, 1, 3, 4], 1), b: sample([5, 4, 2], 2), v: sample([4], 3) }),
      ({ a, b, v }) => [
        tf.matMul(a, b),
        tf.dot(a.reshape([6, 4]), v),
        tf.outerProduct(v as tf.Tensor1D, v as tf.Tensor1D),
        tf.matMul(b, a.reshape([1, 6, 4]).slice([0, 0, 0], [1, 2, 4])),
      ],
    ),
    shapes: example(
      () => x([2, 3, 4]),
      ({ x }) => [
        ...[x.reshape([-1, 4]), x.expandDims(-1), x.expandDims(0).squeeze(), x.transpose(), x.transpose([1, 0, 2])],
        ...[
          x.tile([1, 2, 1]),
          x.flatten(),
          x.pad(
            [
              [0, 1],
              [1, 0],
              [2, 2],
            ],
            -1,
          ),
          x.reverse([0, 2]),
        ],
        ...[
          tf.mirrorPad(
            x,
            [
              [0, 0],
              [1, 1],
              [2, 1],
            ],
            'reflect',
          ),
          tf.broadcastTo(x.slice([0, 0, 0], [1, 3, 4]), [2, 3, 4]),
        ],
        ...[x.slice([0, 1, 2]), x.slice([1, 0, 0], [1, -1, 2]), tf.concat([x, x.neg()], -1), tf.concat([x, x], 0)],
        ...[tf.stack([x, x], 0), tf.stack([x, x], -1), ...tf.unstack(x, 1), ...tf.split(x, 2, -1)],
      ],
    ),
    'makers of tensors': example(x, ({ x }) => [
      ...[tf.zeros([2, 2]), tf.ones([3], 'int32'), tf.fill([2], 7), tf.range(1, 9, 3), tf.range(5, 0, -2, 'int32')],
      ...[tf.linspace(0, 1, 5), tf.eye(3), x.add(tf.linspace(-1, 1, 4))],
      ...[tf.linalg.bandPart(tf.ones([3, 3]), -1, 0), tf.oneHot(int([2, 0]), 3, 5, -1)],
    ]),
    'looking up': example(
      () => ({ x: sample([5, 3]), ids: int([4, 0, 4, 2]), pairs: int([1, 2, 0, 0], [2, 2]) }),
      ({ x, ids, pairs }) => [
        tf.gather(x, ids),
        tf.gather(x, pairs),
        tf.gather(x.transpose(), ids, 1),
        tf.gather(x.slice([0, 0], [2, 3]), pairs, 1, 1),
        tf.gatherND(x, pairs),
        tf.scatterND(pairs, x.slice([0, 0], [2, 1]).flatten(), [2, 3]),
        tf.tensorScatterUpdate(x, pairs, tf.tensor1d([7, 8])),
        tf.oneHot(ids, 5),
        tf.unsortedSegmentSum(x.slice([0, 0], [4, 3]), ids as tf.Tensor1D, 6),
        tf.unsortedSegmentSum(x.slice([0, 0], [4, 3]), ids.sub(tf.scalar(2, 'int32')), 3),
      ],
    ),
  };
  test.each(Object.entries(cases))('%s', (_, run) => run());

  describe('for whatever shapes,', () => {
    const size = fc.integer({ min: 1, max: 4 });
    const shape = fc.array(size, { minLength: 1, maxLength: 4 });
    const check = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void) =>
      fc.assert(fc.property(arbitrary, property), { numRuns: 8 });
    const withGradients = (fn: (...xs: tf.Tensor[]) => tf.Tensor): TensorFunction =>
      valueAndGradients({ inputs: [], run: fn });

    test('broadcasting on either side', () => {
      const pair = shape.chain((full) => fc.tuple(fc.constant(full), reducedShape(full), reducedShape(full)));
      check(pair, ([full, one, other]) => {
        expectSame(
          { a: sample(one, 1), b: sample(other, 2), c: sample(full, 3) },
          withGradients((a, b, c) => a.mul(b).add(c)),
        );
      });
    });

    test('reductions, with the axes kept or not', () => {
      const drawn = shape.chain((full) =>
        fc.tuple(fc.constant(full), fc.subarray(full.map((_, axis) => axis)), fc.boolean()),
      );
      check(drawn, ([full, axes, keepsAxes]) => {
        const negative = axes.map((axis) => axis - full.length);
        const reduce = (x: tf.Tensor) =>
          x.sum(axes, keepsAxes).add(x.mean(negative, keepsAxes)).add(x.max(axes, keepsAxes));
        expectSame({ x: sample(full) }, withGradients(reduce));
      });
    });

    test('products of transposed matrices, in batches or not', () => {
      const drawn = fc.tuple(size, size, size, fc.array(size, { maxLength: 2 }), fc.boolean(), fc.boolean());
      check(drawn, ([rows, inner, columns, batch, isFirst, isSecond]) => {
        const a = sample([...batch, ...(isFirst ? [inner, rows] : [rows, inner])], 1);
        const b = sample([...batch, ...(isSecond ? [columns, inner] : [inner, columns])], 2);
        expectSame(
          { a, b },
          withGradients((a, b) => tf.matMul(a, b, isFirst, isSecond)),
        );
      });
    });

    test('slices, and what is put together from them', () => {
      const range = (most: number) =>
        fc.tuple(fc.nat(most - 1), fc.nat()).map(([begin, length]) => [begin, 1 + (length % (most - begin))] as const);
      const drawn = shape.chain((full) =>
        fc.tuple(fc.constant(full), fc.tuple(...full.map(range)), fc.nat(full.length - 1)),
      );
      check(drawn, ([full, ranges, axis]) => {
        const slice = (x: tf.Tensor) =>
          x.slice(
            ranges.map(([begin]) => begin),
            ranges.map(([, length]) => length),
          );
        expectSame(
          { x: sample(full) },
          withGradients((x) => tf.concat([slice(x), slice(x.neg()), slice(x)], axis)),
        );
      });
    });

    test('rows gathered along any axis, and sums over them', () => {
      const drawn = shape.chain((full) =>
        fc.tuple(fc.constant(full), fc.nat(full.length - 1), fc.array(fc.nat(3), { minLength: 1, maxLength: 6 })),
      );
      check(drawn, ([full, axis, drawnIds]) => {
        const ids = drawnIds.map((id) => id % (full[axis] as number));
        expectSame(
          { x: sample(full) },
          withGradients((x) => tf.gather(x, tf.tensor1d(ids, 'int32'), axis)),
        );
      });
    });
  });
});

/** A shape that broadcasts to `full`: without some of its first axes, and with some others of size 1. */
function reducedShape(full: readonly number[]): fc.Arbitrary<number[]> {
  return fc
    .tuple(fc.nat(full.length), fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }))
    .map(([dropped, isOne]) => full.map((size, axis) => (isOne[axis] ? 1 : size)).slice(dropped));
}

/** The value and the gradients by every input, of a weighted sum so that no output's gradient is like another's. */
function valueAndGradients(operation: Operation): TensorFunction {
  return (inputs) => {
    const xs = Object.values(inputs);
    if (operation.hasGradient === false) return [operation.run(...xs)];
    const weigh = (...ys: tf.Tensor[]) => {
      const y = operation.run(...ys);
      return y.mul(tf.linspace(-1, 1.3, y.size).reshape(y.shape)).sum();
    };
    return [operation.run(...xs), ...tf.grads(weigh)(xs)];
  };
}
