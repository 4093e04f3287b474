import type { NativeBinding, OpAttribute } from '../native.ts';
import { type Constant, type TensorSpec, types, type Value, walk } from './graph.ts';
import { operationRules } from './operations.ts';
import { type Field, floatMessage, message } from './protobuf.ts';

/** A function for TensorFlow to load, and the names under which it takes and gives tensors. */
export interface EncodedFunction {
  /** The bytes of `saved_model.pb`. */
  readonly bytes: Uint8Array;
  /** In the order of the function's arguments. */
  readonly arguments: readonly Value[];
}

/** Names of nodes: arguments `a0...`, and `call`, whose outputs are the function's. */
export const argumentName = (index: number) => `a${index}`;
export const outputName = (index: number) => `call:${index}`;

/**
 * Writes what `outputs` are made of as a SavedModel whose graph calls one function that XLA must compile.
 * Its arguments are the inputs and the values that `isCut` names. A value's name says nothing of a layer, so equal
 * layers give equal bytes. (The numbers of fields are those of tensorflow/core/framework/*.proto.)
 */
export function encodeFunction(
  binding: NativeBinding,
  outputs: readonly Value[],
  isCut: (value: Value) => boolean,
): EncodedFunction {
  const args: Value[] = [];
  const nodes: Uint8Array[] = [];
  const names = new Map<unknown, string>();
  const reference = (value: Value) =>
    value.kind === 'result' && !names.has(value)
      ? `${names.get(value.operation)}:${operationRules[value.operation.name]?.output}:${value.output}`
      : (names.get(value) as string);
  walk(
    outputs,
    (value) => {
      if (value.kind === 'input' || isCut(value)) {
        names.set(value, argumentName(args.length));
        args.push(value);
      } else if (value.kind === 'constant') {
        names.set(value, `c${nodes.length}:output:0`);
        nodes.push(constantNode(`c${nodes.length}`, value));
      } else if (!names.has(value.operation)) {
        const { name, attributes, inputs } = value.operation;
        names.set(value.operation, `n${nodes.length}`);
        const T = operationRules[name]?.hasT ? { T: typeValue((inputs[0] as Value).type) } : {};
        const given = Object.fromEntries(attributes.map((one) => [one.name, attributeValue(one, binding)]));
        nodes.push(node(`n${nodes.length}`, name, inputs.map(reference), { ...T, ...given }));
      }
    },
    isCut,
  );
  const results = outputs.map((value, index): [string, Value, string] => [`r${index}`, value, reference(value)]);
  const definition = message(
    [1, signature(args, outputs)],
    ...nodes.map((each): Field => [3, each]),
    ...results.map(([name, , source]): Field => [4, message([1, name], [2, source])]),
    [5, entry('_XlaMustCompile', message([5, 1]))],
  );
  return { bytes: savedModel(definition, args, outputs), arguments: args };
}

function signature(args: readonly Value[], outputs: readonly Value[]): Uint8Array {
  const typed = (name: string, { type }: Value) => message([1, name], [3, type]);
  return message(
    [1, 'block'],
    ...args.map((value, index): Field => [2, typed(argumentName(index), value)]),
    ...outputs.map((value, index): Field => [3, typed(`r${index}`, value)]),
  );
}

function savedModel(definition: Uint8Array, args: readonly Value[], outputs: readonly Value[]): Uint8Array {
  const placeholders = args.map((value, index) => {
    const attributes = { dtype: typeValue(value.type), shape: message([7, shapeOf(value)]) };
    return node(argumentName(index), 'Placeholder', [], attributes);
  });
  const names = args.map((_, index) => argumentName(index));
  const call = node('call', 'PartitionedCall', names, {
    Tin: typeList(args),
    Tout: typeList(outputs),
    f: message([10, message([1, 'block'])]),
    _XlaMustCompile: message([5, 1]),
  });
  const graph = message(
    ...[...placeholders, call].map((each): Field => [1, each]),
    [2, message([1, definition])],
    // a producer version after which nothing that we write has changed its meaning
    [4, message([1, 1882])],
  );
  return message([1, 1], [2, message([1, message([4, 'serve'])], [2, graph])]);
}

/** `attributes` are encoded values. */
function node(name: string, operation: string, inputs: readonly string[], attributes: Record<string, Uint8Array>) {
  return message(
    [1, name],
    [2, operation],
    ...inputs.map((input): Field => [3, input]),
    ...Object.entries(attributes).map(([key, value]): Field => [5, entry(key, value)]),
  );
}

function constantNode(name: string, constant: Constant): Uint8Array {
  const { type, values } = constant;
  // TensorFlow repeats a single float over the whole shape
  const content: Field = [type === types.float32 && values.length === 1 ? 5 : 4, bytesOf(type, values)];
  const tensor = message([1, type], [2, shapeOf(constant)], content);
  return node(name, 'Const', [], { dtype: typeValue(type), value: message([8, tensor]) });
}

function bytesOf(type: number, values: ArrayLike<number>): Uint8Array {
  if (type === types.bool) return Uint8Array.from(values);
  const array = type === types.int32 ? Int32Array.from(values) : Float32Array.from(values);
  return new Uint8Array(array.buffer);
}

function shapeOf({ shape }: Pick<TensorSpec, 'shape'>): Uint8Array {
  return message(...shape.map((size): Field => [2, message([1, size])]));
}

function entry(key: string, value: Uint8Array): Uint8Array {
  return message([1, key], [2, value]);
}

function typeValue(type: number): Uint8Array {
  return message([6, type]);
}

function typeList(values: readonly TensorSpec[]): Uint8Array {
  return message([1, message(...values.map(({ type }): Field => [6, type]))]);
}

/** The numbers of attribute types are the binding's own. */
function attributeValue({ name, type, value }: OpAttribute, binding: NativeBinding): Uint8Array {
  if (type === binding.TF_ATTR_INT) return message([3, value as number]);
  if (type === binding.TF_ATTR_FLOAT) return floatMessage(4, value as number);
  if (type === binding.TF_ATTR_BOOL) return message([5, value ? 1 : 0]);
  if (type === binding.TF_ATTR_STRING) return message([2, value as string]);
  return name === 'shape' ? message([7, shapeOf({ shape: value as number[] })]) : typeValue(value as number);
}
