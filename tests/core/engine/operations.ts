import * as tf from '@tensorflow/tfjs';

/** Inputs of the operations below, by name: all values differ, so that ties decide nothing. */
export type Input = 'matrix' | 'other' | 'square' | 'row' | 'positive' | 'heads' | 'queries' | 'table';

type F = tf.Tensor;

/** An operation over its inputs, which are differentiated unless it says that it has no gradient. */
export interface Operation {
  readonly inputs: readonly Input[];
  readonly hasGradient?: false;
  run(...inputs: F[]): F;
}

export const shapes: Readonly<Record<Input, number[]>> = {
  matrix: [5, 6],
  other: [6, 4],
  square: [5, 6],
  row: [6],
  positive: [5, 6],
  heads: [2, 3, 4, 6],
  queries: [2, 3, 4, 6],
  table: [7, 6],
};

const ids = () => tf.tensor1d([3, 0, 3, 6, 1], 'int32');
const labels = () => tf.tensor1d([2, 0, 5, 1, 2], 'int32');
const isEven = () => tf.range(0, 30, 1, 'int32').mod(2).equal(0).reshape([5, 6]);
const causal = () =>
  tf.linalg
    .bandPart(tf.ones([4, 4]), -1, 0)
    .sub(1)
    .mul(1e9);
const cube = (x: F) => x.mul(x).mul(x);
const softplus = (x: F) => tf.softplus(x);

/** What a transformer decoder, its losses, its optimizer and generation use. */
export const operations: Readonly<Record<string, Operation>> = {
  add: { inputs: ['matrix', 'row'], run: (a, b) => a.add(b) },
  subtract: { inputs: ['row', 'matrix'], run: (a, b) => a.sub(b) },
  multiply: { inputs: ['matrix', 'row'], run: (a, b) => a.mul(b) },
  divide: { inputs: ['matrix', 'positive'], run: (a, b) => a.div(b) },
  power: { inputs: ['positive'], run: (a) => a.pow(1.7) },
  maximum: { inputs: ['matrix', 'square'], run: (a, b) => tf.maximum(a, b) },
  minimum: { inputs: ['matrix', 'square'], run: (a, b) => tf.minimum(a, b) },
  'squared difference': { inputs: ['matrix', 'square'], run: (a, b) => tf.squaredDifference(a, b) },
  'add many': { inputs: ['matrix', 'square', 'positive'], run: (a, b, c) => tf.addN([a, b, c]) },
  negate: { inputs: ['matrix'], run: (a) => a.neg() },
  absolute: { inputs: ['matrix'], run: (a) => a.abs() },
  sign: { inputs: ['matrix'], run: (a) => a.sign() },
  square: { inputs: ['matrix'], run: (a) => a.square() },
  'square root': { inputs: ['positive'], run: (a) => a.sqrt() },
  'inverse square root': { inputs: ['positive'], run: (a) => a.rsqrt() },
  reciprocal: { inputs: ['positive'], run: (a) => a.reciprocal() },
  exponential: { inputs: ['matrix'], run: (a) => a.exp() },
  'exponential less one': { inputs: ['matrix'], run: (a) => tf.expm1(a) },
  logarithm: { inputs: ['positive'], run: (a) => a.log() },
  'logarithm of one more': { inputs: ['positive'], run: (a) => a.log1p() },
  tanh: { inputs: ['matrix'], run: (a) => a.tanh() },
  sigmoid: { inputs: ['matrix'], run: (a) => a.sigmoid() },
  'log sigmoid': { inputs: ['matrix'], run: (a) => tf.logSigmoid(a) },
  softplus: { inputs: ['matrix'], run: softplus },
  'error function': { inputs: ['matrix'], run: (a) => a.erf() },
  step: { inputs: ['matrix'], run: (a) => a.step() },
  relu: { inputs: ['matrix'], run: (a) => a.relu() },
  sine: { inputs: ['matrix'], run: (a) => a.sin() },
  cosine: { inputs: ['matrix'], run: (a) => a.cos() },
  'hyperbolic cosine': { inputs: ['matrix'], run: (a) => a.cosh() },
  clip: { inputs: ['matrix'], run: (a) => a.clipByValue(-0.5, 0.5) },
  product: { inputs: ['matrix', 'other'], run: (a, b) => tf.matMul(a, b) },
  'product with the first transposed': { inputs: ['matrix', 'square'], run: (a, b) => tf.matMul(a, b, true, false) },
  'product with the second transposed': { inputs: ['matrix', 'square'], run: (a, b) => tf.matMul(a, b, false, true) },
  'batched product': { inputs: ['queries', 'heads'], run: (a, b) => tf.matMul(a, b, false, true) },
  transpose: { inputs: ['heads'], run: (a) => a.transpose([0, 2, 1, 3]) },
  reshape: { inputs: ['heads'], run: (a) => a.reshape([24, 6]) },
  'expand and squeeze': { inputs: ['matrix'], run: (a) => a.expandDims(1).mul(2).squeeze([1]) },
  concatenate: { inputs: ['matrix', 'square'], run: (a, b) => tf.concat([a, b], 1) },
  split: { inputs: ['heads'], run: (a) => tf.split(a, 2, -1)[1] as F },
  slice: { inputs: ['matrix'], run: (a) => a.slice([1, 2], [3, 3]) },
  pad: {
    inputs: ['matrix'],
    run: (a) =>
      a.pad([
        [1, 0],
        [0, 2],
      ]),
  },
  tile: { inputs: ['matrix'], run: (a) => a.tile([2, 3]) },
  stack: { inputs: ['matrix', 'square'], run: (a, b) => tf.stack([a, b], 1) },
  unstack: { inputs: ['matrix'], run: (a) => tf.unstack(a, 1)[2] as F },
  reverse: { inputs: ['matrix'], run: (a) => a.reverse(1) },
  select: { inputs: ['matrix', 'square'], run: (a, b) => tf.where(isEven(), a, b) },
  gather: { inputs: ['table'], run: (a) => tf.gather(a, ids()) },
  'gather along columns': { inputs: ['matrix'], run: (a) => tf.gather(a, labels(), 1) },
  'sum by segment': { inputs: ['matrix'], run: (a) => tf.unsortedSegmentSum(a, ids(), 7) },
  sum: { inputs: ['heads'], run: (a) => a.sum(-1, true) },
  mean: { inputs: ['heads'], run: (a) => a.mean([1, 3]) },
  largest: { inputs: ['matrix'], run: (a) => a.max(-1) },
  smallest: { inputs: ['matrix'], run: (a) => a.min(-1) },
  'running sum': { inputs: ['matrix'], run: (a) => a.cumsum(1) },
  softmax: { inputs: ['heads'], run: (a) => tf.softmax(a) },
  'log softmax': { inputs: ['heads'], run: (a) => tf.logSoftmax(a) },
  'log of summed exponentials': { inputs: ['matrix'], run: (a) => tf.logSumExp(a, -1) },
  'picked log-probability': { inputs: ['matrix'], run: (a) => tf.logSoftmax(a).mul(tf.oneHot(labels(), 6)).sum(-1) },
  'rms norm': { inputs: ['matrix', 'row'], run: (x, w) => x.mul(x.square().mean(-1, true).add(1e-6).rsqrt()).mul(w) },
  'layer norm': {
    inputs: ['matrix', 'row'],
    run(x, w) {
      const centred = x.sub(x.mean(-1, true));
      return centred.mul(centred.square().mean(-1, true).add(1e-5).rsqrt()).mul(w).add(w);
    },
  },
  'rotary embedding': {
    inputs: ['heads'],
    run(x) {
      const angle = tf
        .range(0, 4)
        .expandDims(1)
        .mul(tf.tensor1d([1, 0.1, 0.01, 1, 0.1, 0.01]));
      const [first, second] = tf.split(x, 2, -1) as [F, F];
      return x.mul(angle.cos()).add(tf.concat([second.neg(), first], -1).mul(angle.sin()));
    },
  },
  attention: {
    inputs: ['queries', 'heads', 'heads'],
    run: (q, k, v) => tf.matMul(tf.softmax(tf.matMul(q, k, false, true).mul(0.4).add(causal())), v),
  },
  'gelu by tanh': {
    inputs: ['matrix'],
    run: (x) =>
      x.mul(0.5).mul(
        cube(x)
          .mul(0.044715)
          .add(x)
          .mul(Math.sqrt(2 / Math.PI))
          .tanh()
          .add(1),
      ),
  },
  'gelu by the error function': { inputs: ['matrix'], run: (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)) },
  'gated feed-forward': { inputs: ['matrix', 'square'], run: (g, u) => g.mul(g.sigmoid()).mul(u) },
  'preference loss': { inputs: ['matrix', 'square'], run: (c, r) => softplus(r.sum(-1).sub(c.sum(-1)).mul(0.1)) },
  // where an order is taken from the values, it is taken outside the tape: `TopK` has no gradient
  'sort by gather': { inputs: ['row'], run: (a) => tf.gather(a, tf.tensor1d([4, 2, 0, 5, 3, 1], 'int32')) },
  'largest index': { inputs: ['matrix'], hasGradient: false, run: (a) => a.argMax(-1) },
  'largest few': { inputs: ['matrix'], hasGradient: false, run: (a) => tf.topk(a, 3).values },
  compare: {
    inputs: ['matrix', 'square'],
    hasGradient: false,
    run: (a, b) => a.greater(b).logicalOr(a.less(b.mul(2))),
  },
  'compare integers': {
    inputs: [],
    hasGradient: false,
    run: () => ids().equal(labels()).logicalAnd(ids().notEqual(0)),
  },
  'one hot': { inputs: [], hasGradient: false, run: () => tf.oneHot(ids(), 7) },
  'integer arithmetic': { inputs: [], hasGradient: false, run: () => ids().mul(labels()).add(7).mod(5).floorDiv(2) },
  'integer sums': { inputs: [], hasGradient: false, run: () => ids().cumsum().add(ids().sum()).maximum(labels()) },
  cast: { inputs: ['matrix'], hasGradient: false, run: (a) => a.mul(10).cast('int32').cast('float32') },
  'finite check': { inputs: ['matrix'], hasGradient: false, run: (a) => a.div(a.relu()).isFinite() },
  'gather by position': {
    inputs: ['matrix'],
    hasGradient: false,
    run: (a) =>
      tf.gatherND(
        a,
        tf.tensor2d(
          [
            [0, 1],
            [4, 5],
          ],
          [2, 2],
          'int32',
        ),
      ),
  },
};
