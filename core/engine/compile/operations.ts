import { util } from '@tensorflow/tfjs';
import { failure } from '../errors.ts';
import type { OpAttribute } from '../native.ts';
import { type TensorSpec, types, type Value } from './graph.ts';

/** What the compiler must know of a TensorFlow operation: the name of its output, and what it yields without running it. */
export interface OperationRule {
  /** The output's name in TensorFlow's definition of the operation. */
  readonly output: string;
  /** Whether it has the type attribute `T`, which tfjs leaves to be inferred and a function must state. */
  readonly hasT: boolean;
  /** Whether each element of the result comes from one element of each operand, so that making it again costs little. */
  readonly isElementwise: boolean;
  readonly specs: (inputs: readonly Value[], attribute: Attribute) => readonly TensorSpec[];
}

type Attribute = (name: string) => unknown;

/** The shape of the output, or those of several. */
type ShapesOf = (inputs: readonly Value[], attribute: Attribute) => readonly number[] | readonly (readonly number[])[];

const rules: Record<string, OperationRule> = {};
const noT = { hasT: false };

define('Add AddV2 Sub Mul Div RealDiv Maximum Minimum Pow SquaredDifference FloorDiv FloorMod Atan2', 'z', broadcast);
define('AddN', 'sum', same);
define('LeftShift BitwiseAnd', 'z', broadcast);
define('Equal NotEqual Greater GreaterEqual Less LessEqual', 'z', broadcast, { type: types.bool });
define('LogicalAnd LogicalOr', 'z', broadcast, noT);
define('Exp Log Log1p Expm1 Neg Square Sqrt Rsqrt Reciprocal Sigmoid Tanh Erf Abs Sign Floor Ceil Round', 'y', same);
define('Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh Acosh Atanh ZerosLike OnesLike', 'y', same);
define('IsNan IsInf IsFinite', 'y', same, { type: types.bool });
define('LogicalNot', 'y', same, noT);
define('Cast', 'y', same, { type: (_, attribute) => attribute('DstT') as number, hasT: false });
define('Relu Relu6 Elu Selu LeakyRelu Softplus', 'activations', same);
define('EluGrad', 'backprops', same);
define('Softmax', 'softmax', alike);
define('LogSoftmax', 'logsoftmax', alike);
define('Identity Bitcast', 'output', same, { type: ([x], get) => (get('type') ?? x?.type) as number });
define('ReverseV2 TensorScatterUpdate', 'output', alike);
define('Cumsum Cumprod', 'out', alike);
define('Select SelectV2', 'output', ([, chosen]) => shape(chosen), { type: ([, chosen]) => (chosen as Value).type });
define('Sum Mean Max Min Prod', 'output', ([x, axes], attribute) => reduced(x, ints(axes), attribute('keep_dims')));
define('All Any', 'output', ([x, axes], attribute) => reduced(x, ints(axes), attribute('keep_dims')), noT);
define('ArgMax ArgMin', 'output', ([x, axis]) => reduced(x, ints(axis), false), { type: types.int32 });
define('MatMul', 'product', ([a, b], attribute) =>
  product(shape(a), shape(b), attribute('transpose_a'), attribute('transpose_b')),
);
define('BatchMatMul BatchMatMulV2', 'output', ([a, b], attribute) =>
  product(shape(a), shape(b), attribute('adj_x'), attribute('adj_y')),
);
define('Reshape', 'output', ([x, wanted]) => resolved(x, ints(wanted)));
define('ExpandDims', 'output', ([x, axis]) => {
  const at = ints(axis)[0] as number;
  return shape(x).toSpliced(at < 0 ? at + shape(x).length + 1 : at, 0, 1);
});
define('Transpose', 'y', ([x, order]) => ints(order).map((axis) => shape(x)[axis] as number));
define('Tile', 'output', ([x, repeats]) => shape(x).map((size, axis) => size * (ints(repeats)[axis] as number)));
define('Pad PadV2 MirrorPad', 'output', ([x, paddings]) =>
  shape(x).map((size, axis) => size + (ints(paddings)[2 * axis] as number) + (ints(paddings)[2 * axis + 1] as number)),
);
define('Slice', 'output', ([x, begin, size]) =>
  ints(size).map((count, axis) => (count < 0 ? (shape(x)[axis] as number) - (ints(begin)[axis] as number) : count)),
);
define('ConcatV2', 'output', (inputs) => {
  const [parts, [axis = 0]] = [inputs.slice(0, -1).map(shape), ints(inputs.at(-1))];
  const at = axis < 0 ? axis + (parts[0] as readonly number[]).length : axis;
  return (parts[0] as readonly number[]).with(
    at,
    parts.reduce((sum, part) => sum + (part[at] as number), 0),
  );
});
define('Pack', 'output', (inputs, attribute) =>
  shape(inputs[0]).toSpliced(attribute('axis') as number, 0, inputs.length),
);
define('Range', 'output', counted, noT);
define('Fill', 'output', ([dims]) => ints(dims), { type: ([, value]) => (value as Value).type });
define('BroadcastTo', 'output', ([, dims]) => ints(dims));
define('GatherV2', 'output', gathered, noT);
define('GatherNd', 'output', ([x, at]) => [...shape(at).slice(0, -1), ...shape(x).slice(shape(at).at(-1))], noT);
define('LinSpace ScatterNd', 'output', ([, , dims]) => ints(dims), { type: ([, given]) => (given as Value).type });
define('UnsortedSegmentSum', 'output', ([x, ids, count]) => [
  ints(count)[0] as number,
  ...shape(x).slice(shape(ids).length),
]);
define('OneHot', 'output', ([indices, depth]) => [...shape(indices), ints(depth)[0] as number], {
  type: ([, , on]) => (on as Value).type,
});
define('SplitV', 'output', ([x, sizes, axis]) =>
  ints(sizes).map((size) => shape(x).with(ints(axis)[0] as number, size)),
);
define('Unpack', 'output', ([x], attribute) =>
  Array.from({ length: attribute('num') as number }, () => shape(x).toSpliced(attribute('axis') as number, 1)),
);

/** By TensorFlow's name of the operation. One that is not here cannot be compiled. */
export const operationRules: Readonly<Record<string, OperationRule>> = rules;

/** Looks an attribute of a recorded operation up. */
export function attributeOf(attributes: readonly OpAttribute[]): Attribute {
  return (name) => attributes.find((attribute) => attribute.name === name)?.value;
}

function define(
  names: string,
  output: string,
  shapesOf: ShapesOf,
  options: { type?: number | ((inputs: readonly Value[], attribute: Attribute) => number); hasT?: boolean } = {},
): void {
  const { type = ([x]: readonly Value[]) => (x as Value).type, hasT = true } = options;
  const isElementwise = shapesOf === broadcast || shapesOf === same;
  const specs: OperationRule['specs'] = (inputs, attribute) => {
    const shapes = shapesOf(inputs, attribute);
    const all = Array.isArray(shapes[0]) ? (shapes as number[][]) : [shapes as number[]];
    return all.map((shape) => ({ shape, type: typeof type === 'number' ? type : type(inputs, attribute) }));
  };
  for (const name of names.split(' ')) rules[name] = { output, hasT, isElementwise, specs };
}

function shape(value: Value | undefined): readonly number[] {
  return (value as Value).shape;
}

/** The values of an operand that says axes, sizes or the like: tfjs always makes them constants. */
function ints(value: Value | undefined): number[] {
  if (value?.kind !== 'constant') throw failure('COMPILE_READS_VALUE', {});
  return Array.from(value.values);
}

/** The same shape, whose elements come from several of the operand's. */
function alike([x]: readonly Value[]): readonly number[] {
  return shape(x);
}

function same([x]: readonly Value[]): readonly number[] {
  return shape(x);
}

function broadcast([a, b]: readonly Value[]): readonly number[] {
  return broadcastShapes(shape(a), shape(b));
}

function broadcastShapes(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const one = a[axis - rank + a.length] ?? 1;
    return one === 1 ? (b[axis - rank + b.length] ?? 1) : one;
  });
}

function counted(bounds: readonly Value[]): number[] {
  const [start, stop, step] = bounds.flatMap(ints) as [number, number, number];
  return [Math.max(0, Math.ceil((stop - start) / step))];
}

function gathered([x, indices, axis]: readonly Value[], attribute: Attribute): number[] {
  return shape(x).toSpliced(ints(axis)[0] as number, 1, ...shape(indices).slice(attribute('batch_dims') as number));
}

function reduced(x: Value | undefined, axes: readonly number[], keepsAxes: unknown): number[] {
  const from = shape(x);
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + from.length : axis)));
  return keepsAxes ? from.map((size, axis) => (gone.has(axis) ? 1 : size)) : from.filter((_, axis) => !gone.has(axis));
}

function product(a: readonly number[], b: readonly number[], transposesA: unknown, transposesB: unknown): number[] {
  const rows = a.at(transposesA ? -1 : -2) as number;
  const columns = b.at(transposesB ? -2 : -1) as number;
  return [...broadcastShapes(a.slice(0, -2), b.slice(0, -2)), rows, columns];
}

function resolved(x: Value | undefined, wanted: readonly number[]): number[] {
  const known = wanted.reduce((count, size) => (size < 0 ? count : count * size), 1);
  return wanted.map((size) => (size < 0 ? util.sizeFromShape([...shape(x)]) / known : size));
}
