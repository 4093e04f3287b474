import type { NativeBinding, OpAttribute } from '../native.ts';
import { type Constant, type Input, type TensorSpec, types, type Value, walk } from './graph.ts';
import { operationRules } from './operations.ts';
import { Message } from './protobuf.ts';

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
 * layers give equal bytes.
 */
export function encodeFunction(
  binding: NativeBinding,
  outputs: readonly Value[],
  isCut: (value: Value) => boolean,
): EncodedFunction {
  const args: Value[] = [];
  const nodes: Message[] = [];
  const names = new Map<unknown, string>();
  const reference = (value: Value) =>
    value.kind === 'result' && names.get(value) === undefined
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
        nodes.push(node(`n${nodes.length}`, name, inputs.map(reference), typed(name, attributes, inputs, binding)));
      }
    },
    isCut,
  );
  return { bytes: savedModel(functionOf(args, outputs, nodes, reference), args, outputs), arguments: args };
}

/** The numbers of `TF_ATTR_...` differ between bindings, so attributes are written by the binding that recorded them. */
function typed(
  name: string,
  attributes: readonly OpAttribute[],
  inputs: readonly Value[],
  binding: NativeBinding,
): [string, Message][] {
  const given = attributes.map((one): [string, Message] => [one.name, attributeValue(one, binding)]);
  const isMissing = operationRules[name]?.hasT && !attributes.some((one) => one.name === 'T');
  return isMissing ? [...given, ['T', typeValue((inputs[0] as Value).type)]] : given;
}

function functionOf(
  args: readonly Value[],
  outputs: readonly Value[],
  nodes: readonly Message[],
  reference: (value: Value) => string,
): Message {
  const signature = new Message().text(1, 'block');
  for (const [index, value] of args.entries()) signature.message(2, argument(argumentName(index), value));
  for (const [index, value] of outputs.entries()) signature.message(3, argument(`r${index}`, value));
  const definition = new Message().message(1, signature);
  for (const each of nodes) definition.message(3, each);
  for (const [index, value] of outputs.entries()) {
    definition.message(4, new Message().text(1, `r${index}`).text(2, reference(value)));
  }
  return definition.message(5, entry('_XlaMustCompile', new Message().int(5, 1)));
}

function savedModel(definition: Message, args: readonly Value[], outputs: readonly Value[]): Uint8Array {
  const graph = new Message();
  for (const [index, value] of args.entries()) {
    const shape = new Message().message(7, shapeOf(value));
    const attributes: [string, Message][] = [
      ['dtype', typeValue(value.type)],
      ['shape', shape],
    ];
    graph.message(1, node(argumentName(index), 'Placeholder', [], attributes));
  }
  const call = node(
    'call',
    'PartitionedCall',
    args.map((_, index) => argumentName(index)),
    [
      ['Tin', typeList(args)],
      ['Tout', typeList(outputs)],
      ['f', new Message().message(10, new Message().text(1, 'block'))],
      ['_XlaMustCompile', new Message().int(5, 1)],
    ],
  );
  graph.message(1, call).message(2, new Message().message(1, definition));
  // a producer version after which nothing that we write has changed its meaning
  graph.message(4, new Message().int(1, 1882));
  const meta = new Message().text(4, 'serve');
  return new Message().int(1, 1).message(2, new Message().message(1, meta).message(2, graph)).encode();
}

function node(name: string, operation: string, inputs: readonly string[], attributes: [string, Message][]): Message {
  const message = new Message().text(1, name).text(2, operation);
  for (const input of inputs) message.text(3, input);
  for (const [key, value] of attributes) message.message(5, entry(key, value));
  return message;
}

function constantNode(name: string, { shape, type, values }: Constant): Message {
  const tensor = new Message().int(1, type).message(2, shapeOf({ shape, type }));
  const isUniform =
    type === types.float32 && values.length > 1 && Array.from(values).every((one) => Object.is(one, values[0]));
  // TensorFlow repeats a single value over the whole shape
  if (isUniform) tensor.bytes(5, bytesOf(types.float32, [values[0] as number]));
  else tensor.bytes(4, bytesOf(type, values));
  return node(
    name,
    'Const',
    [],
    [
      ['dtype', typeValue(type)],
      ['value', new Message().message(8, tensor)],
    ],
  );
}

function bytesOf(type: number, values: ArrayLike<number>): Uint8Array {
  if (type === types.bool) return Uint8Array.from(values);
  const array = type === types.int32 ? Int32Array.from(values) : Float32Array.from(values);
  return new Uint8Array(array.buffer);
}

function argument(name: string, { type }: TensorSpec | Input): Message {
  return new Message().text(1, name).int(3, type);
}

function shapeOf({ shape }: TensorSpec): Message {
  const message = new Message();
  for (const size of shape) message.message(2, new Message().int(1, size));
  return message;
}

function entry(key: string, value: Message): Message {
  return new Message().text(1, key).message(2, value);
}

function typeValue(type: number): Message {
  return new Message().int(6, type);
}

function typeList(values: readonly TensorSpec[]): Message {
  const list = new Message();
  for (const { type } of values) list.int(6, type);
  return new Message().message(1, list);
}

function attributeValue({ name, type, value }: OpAttribute, binding: NativeBinding): Message {
  if (type === binding.TF_ATTR_INT) return new Message().int(3, value as number);
  if (type === binding.TF_ATTR_FLOAT) return new Message().float(4, value as number);
  if (type === binding.TF_ATTR_BOOL) return new Message().int(5, value ? 1 : 0);
  if (type === binding.TF_ATTR_STRING) return new Message().text(2, value as string);
  return name === 'shape'
    ? new Message().message(7, shapeOf({ shape: value as number[], type: 0 }))
    : typeValue(value as number);
}
