import type * as tf from '@tensorflow/tfjs';
import { type TensorSpec, type TypeName, types, type Value } from '../engine/compile/graph.ts';
import { record } from '../engine/compile/record.ts';
import type { NativeBackend } from '../engine/native.ts';
import type { Tensors } from '../model.ts';
import { packedShape } from '../parameters/bfloat16.ts';
import { Scope } from '../scope.ts';
import { type BlockRun, differentiate, differentiatedOf } from './block-runner.ts';

/** The computation of a block. Its inputs are named `input:hidden`, `parameter:weight` and `gradient`. */
export interface BlockRecording {
  /** By name, in the block's order. */
  readonly outputs: readonly (readonly [name: string, value: Value])[];
  /** The gradient of `hidden`, where it is wanted. */
  readonly hidden?: Value | undefined;
  /** The gradients of parameters, by their local names. */
  readonly parameters: readonly (readonly [local: string, gradient: Value])[];
  /** Whether a value is computed before the outputs are complete. */
  readonly isForward: (value: Value) => boolean;
}

/** Records a block, and its gradients if the pass has any. Throws the COMPILE_ errors and TAP_NOT_CAPTURABLE. */
export function recordBlock(backend: NativeBackend, run: BlockRun): BlockRecording {
  const outputs = recordOutputs(backend, run);
  const isDifferentiated = run.trainable.length > 0 || run.isAboveTrained;
  if (!isDifferentiated) return { outputs, parameters: [], isForward: () => true };
  const byName: Record<string, Value> = Object.fromEntries(outputs);
  const specs = {
    ...inputSpecs(run),
    gradient: joinedSpec(differentiatedOf(byName, run.pass).map((name) => byName[name])),
  };
  return record(backend, specs, ({ tensors, standsFor, operations }) => {
    let outputs: BlockRecording['outputs'] = [];
    let end = 0;
    const gradients = differentiate(standIn(run, tensors), {
      flowing: tensors.gradient as tf.Tensor,
      needsValue: true,
      isRecorded: true,
      afterForward(produced) {
        outputs = valuesOf(produced, standsFor);
        end = operations();
      },
    });
    const isForward = (value: Value) => value.kind === 'result' && value.operation.index < end;
    const seen = new Set<Value>();
    // a gradient may be an input, a constant, of the forward part or that of another: its tensor must be its own
    const computed = (tensor: tf.Tensor): Value => {
      const value = standsFor(tensor);
      const isOwn = value.kind === 'result' && !isForward(value) && !seen.has(value);
      seen.add(value);
      return isOwn ? value : standsFor(backend.executeSingleOutput('Identity', [], [tensor]));
    };
    const hidden = gradients.hidden && computed(gradients.hidden);
    const parameters = gradients.parameters.map(([local, tensor]) => [local, computed(tensor)] as const);
    return { outputs, hidden, parameters, isForward };
  });
}

function recordOutputs(backend: NativeBackend, run: BlockRun): BlockRecording['outputs'] {
  return record(backend, inputSpecs(run), ({ tensors, standsFor }) => {
    const recorded = standIn(run, tensors);
    const purpose = { needsValue: true, isDifferentiated: false, isRecorded: true };
    return valuesOf(run.block.run(new Scope(recorded, purpose), recorded.inputs), standsFor);
  });
}

/** The run with tensors that have no values. */
function standIn(run: BlockRun, tensors: Readonly<Record<string, tf.Tensor>>): BlockRun {
  const inputs = Object.keys(run.inputs).map((name) => [name, tensors[`input:${name}`] as tf.Tensor]);
  const read = (local: string) => tensors[`parameter:${local}`] as tf.Tensor;
  return { ...run, inputs: Object.fromEntries(inputs), source: { ...run.source, read } };
}

function inputSpecs({ inputs, source: { names, store }, pass }: BlockRun): Record<string, TensorSpec> {
  const ofInputs = Object.entries(inputs).map(([name, { shape, dtype }]) => [
    `input:${name}`,
    { shape, type: types[dtype as TypeName] },
  ]);
  const ofParameters = Object.entries(names).map(([local, name]) => {
    const { shape } = store.spec(name);
    const isFloat32 = store.storage(name, pass.view) === 'float32';
    const spec = isFloat32 ? { shape, type: types.float32 } : { shape: packedShape(shape), type: types.int32 };
    return [`parameter:${local}`, spec];
  });
  return Object.fromEntries([...ofInputs, ...ofParameters]);
}

/** Of several the spec of one after the other. */
function joinedSpec(values: readonly (Value | undefined)[]): TensorSpec {
  const [{ shape, type }] = values as [Value];
  return values.length === 1 ? { shape, type } : { shape: [values.length * (shape[0] as number)], type };
}

function valuesOf(tensors: Tensors, standsFor: (tensor: tf.Tensor) => Value): [string, Value][] {
  return Object.entries(tensors).map(([name, tensor]) => [name, standsFor(tensor)]);
}
