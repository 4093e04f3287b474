import type { Tensor } from '@tensorflow/tfjs';
import type { Collectives, Range } from '../collectives/collectives.ts';
import { announced, together } from '../collectives/together.ts';
import type { CheckpointPart } from '../hook-arguments.ts';
import { answeredRange, isWhole, partOf, valuesOf } from '../parameters/part-of.ts';
import type { Values } from '../parameters/safetensors/dtype.ts';
import type { Session } from '../session.ts';
import type { ParameterStore } from '../tokens.ts';
import { failure } from './errors.ts';
import { parameterOf } from './parameter-of.ts';
import { partFile, type TensorEntry } from './tensor-file.ts';

/** Tensors by name. */
type Named = readonly (readonly [name: string, value: Tensor])[];

/** What is trained, and what has been: the optimizer knows it. */
export function policyEntries({ store, collectives }: Session, moments: Named): TensorEntry[] {
  const trained = new Set(moments.map(([name]) => parameterOf(name)));
  return store.names
    .filter((name) => store.isTrainable(name) || trained.has(name))
    .map((name) => ({ ...wholeSpec(store, name), part: partOf(store, name, 'policy', collectives) }));
}

/** The optimizer's: `<parameter>/<moment>`, of the shape of what the store holds of the parameter, or of one of its own. */
export function momentEntries({ store, collectives }: Session, moments: Named): TensorEntry[] {
  return moments.map(([name, value]) => {
    const parameter = parameterOf(name);
    const isShard = store.names.includes(parameter) && isShapedAs(value, store, parameter);
    return entryOf(name, value, collectives, isShard ? whereIn(store, parameter, collectives) : undefined);
  });
}

/** Of a reference that has moved, what may have: not what was never trained and the reference shares with the policy. */
export async function referenceEntries(
  { reference, store, collectives }: Session,
  policy: readonly TensorEntry[],
): Promise<TensorEntry[]> {
  const everTrained = new Set(policy.map(({ name }) => name));
  const { names, read } = reference?.parameters ?? { names: [], read: () => undefined as never };
  const differs = new Float32Array(names.length);
  for (const [at, name] of names.entries()) {
    const isUntrained = store.names.includes(name) && !everTrained.has(name);
    const isShared = isUntrained && (await areEqual(read(name), store.readShard(name, 'policy')));
    differs[at] = isShared ? 0 : 1;
  }
  // where it has moved on one rank, all write it
  const moved = await collectives.allReduce(differs, 'max', 'what of the reference has moved');
  const source = { spec: store.spec, range: store.range, readShard: read };
  return names
    .filter((_, at) => moved[at] !== 0)
    .map((name) => {
      if (store.names.includes(name))
        return { ...wholeSpec(store, name), part: partOf(source, name, 'reference', collectives) };
      const { dtype, shape } = freed(read(name));
      return entryOf(name, { dtype, shape, data: () => valuesOf(read(name)) }, collectives, undefined);
    });
}

/**
 * The plugins' parts by file. The first rank says what there is, for some plugins speak there only; of a tensor that
 * `layout` calls a part of a parameter every rank writes its own. Throws CHECKPOINT_TENSOR.
 */
export async function partEntries(
  { store, collectives }: Session,
  parts: Readonly<Record<string, CheckpointPart>>,
): Promise<Record<string, TensorEntry[]>> {
  const own = await together(collectives, "the plugins' parts", async () => described(parts));
  const all = JSON.parse(await announced(collectives, "the plugins' tensors", () => JSON.stringify(own))) as typeof own;
  const files: Record<string, TensorEntry[]> = {};
  for (const { part, tensor, dtype, shape, parameter } of all) {
    const value = parts[part]?.tensors?.[tensor] ?? { dtype, shape, data: () => Promise.resolve(new Float32Array()) };
    const where = parameter === undefined ? undefined : whereIn(store, parameter, collectives);
    files[partFile(part)] = [...(files[partFile(part)] ?? []), entryOf(tensor, value, collectives, where)];
  }
  return files;
}

/** What is to be written of the parts' tensors. */
function described(parts: Readonly<Record<string, CheckpointPart>>) {
  return Object.entries(parts).flatMap(([part, { tensors = {}, layout = {} }]) =>
    Object.entries(tensors).map(([tensor, { dtype, shape }]) => {
      if (dtype !== 'float32' && dtype !== 'int32') throw failure('CHECKPOINT_TENSOR', { part, tensor, dtype });
      return { part, tensor, dtype, shape, parameter: layout[tensor] };
    }),
  );
}

/** A tensor of which every rank has what `where` says, or which is whole on all: then the first writes it. It stays the caller's. */
function entryOf(
  name: string,
  value: { readonly dtype: string; readonly shape: readonly number[]; data(): Promise<unknown> },
  { rank }: Collectives,
  where: { readonly shape: readonly number[]; readonly range: Range } | undefined,
): TensorEntry {
  const shape = where?.shape ?? value.shape;
  const end = rank === 0 ? shape.reduce((product, size) => product * size, 1) : 0;
  const range = where?.range ?? { begin: 0, end };
  const dtype = value.dtype === 'int32' ? 'int32' : 'float32';
  return { name, dtype, shape, part: { range, read: () => value.data() as Promise<Values> } };
}

function whereIn(store: ParameterStore, parameter: string, collectives: Collectives) {
  return { shape: store.spec(parameter).shape, range: answeredRange(store, parameter, collectives) };
}

function wholeSpec(store: ParameterStore, name: string) {
  return { name, dtype: 'float32', shape: store.spec(name).shape } as const;
}

/** Whether a tensor has the shape of what the store holds of a parameter. */
function isShapedAs(value: Tensor, store: ParameterStore, parameter: string): boolean {
  const { begin, end } = store.range(parameter);
  const shape = isWhole(store, parameter) ? store.spec(parameter).shape : [end - begin];
  return value.shape.join() === shape.join();
}

/** Whether two tensors are equal bit for bit; frees both. */
async function areEqual(one: Tensor, other: Tensor): Promise<boolean> {
  const [a, b] = await Promise.all([valuesOf(one), valuesOf(other)]);
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function freed(value: Tensor): Tensor {
  value.dispose();
  return value;
}

function bytesOf({ buffer, byteOffset, byteLength }: Values): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
