import { randomUUID } from 'node:crypto';
import { add, keep, type Tensor } from '@tensorflow/tfjs';
import type { Engine } from '../engine/engine.ts';
import { type Buffer, changed, hold, letGo, sharing } from '../engine/memory.ts';
import type { NativeBackend, OpAttribute } from '../engine/native.ts';

/** A place that holds one tensor and may be written again: what parameters and optimizer state live in. */
export interface Cell {
  readonly shape: readonly number[];
  /** The value now; it does not change with the cell and shares its buffer until the cell is written. The caller disposes it. */
  read(): Tensor;
  /** Takes ownership of `value`. */
  write(value: Tensor): void;
  /** Adds to the value, in place where the engine can; takes ownership of `value`. */
  add(value: Tensor): void;
  dispose(): void;
  /** Only on the native engine: the handle of the TensorFlow variable, for operations that change it in place. */
  readonly variable?: Tensor;
  /** To be called after they did: the bytes of reads that are held are counted from then on. */
  changed?(): void;
}

/** Makes a cell of the engine's own kind: a TensorFlow variable on native, else a plain one. Takes ownership of `value`. */
export function createCell(engine: Engine, value: Tensor): Cell {
  return engine.native ? variableCell(engine.native.backend, value) : plainCell(value);
}

/** Holds a tensor as it is: on the engines whose tensors never change, and for reads of a variable that are kept. */
export function plainCell(value: Tensor): Cell {
  const { shape } = value;
  let held = keep(value);
  return {
    shape,
    // wasm's clone copies, its reshape does not
    read: () => held.reshape(shape),
    write(next) {
      if (next !== held) held.dispose();
      held = keep(next);
    },
    add(value) {
      const before = held;
      held = keep(add(before, value));
      before.dispose();
      value.dispose();
    },
    dispose: () => held.dispose(),
  };
}

/**
 * Holds a float32 value in a TensorFlow resource variable. Reading copies nothing; TensorFlow copies the variable when
 * it is changed in place while a read of it is still alive.
 */
export function variableCell(backend: NativeBackend, value: Tensor): Cell {
  const { binding } = backend;
  const type: OpAttribute = { name: 'dtype', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT };
  const shape = value.shape;
  const variable = keep(
    backend.executeSingleOutput(
      'VarHandleOp',
      [
        { name: 'container', type: binding.TF_ATTR_STRING, value: '' },
        // equal names are one variable, and several copies of this module may run in one process
        { name: 'shared_name', type: binding.TF_ATTR_STRING, value: randomUUID() },
        type,
        { name: 'shape', type: binding.TF_ATTR_SHAPE, value: shape },
      ],
      [],
    ),
  );
  let buffer: Buffer | undefined;
  const cell: Cell = {
    shape,
    variable,
    read: () => sharing(buffer as Buffer, () => backend.executeSingleOutput('ReadVariableOp', [type], [variable])),
    write(next) {
      const before = buffer;
      buffer = hold(next);
      // the variable takes over the buffer; a handle left alive would make the next change copy it
      backend.executeMultipleOutputs('AssignVariableOp', [type], [variable, next], 0);
      if (before !== undefined) letGo(before);
      next.dispose();
    },
    add(value) {
      backend.executeMultipleOutputs('AssignAddVariableOp', [type], [variable, value], 0);
      cell.changed?.();
      value.dispose();
    },
    changed() {
      buffer = changed(buffer as Buffer);
    },
    dispose() {
      if (buffer !== undefined) letGo(buffer);
      buffer = undefined;
      const quiet = { name: 'ignore_lookup_error', type: binding.TF_ATTR_BOOL, value: true };
      backend.executeMultipleOutputs('DestroyResourceOp', [quiet], [variable], 0);
      variable.dispose();
    },
  };
  cell.write(value);
  return cell;
}
