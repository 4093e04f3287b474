import * as tf from '@tensorflow/tfjs';

/** What lives in an engine. */
export interface EngineMemory {
  /** Tensor objects, aliases included. */
  readonly tensors: number;
  /** Unique buffers: a reshaped or cloned tensor shares its source's where the engine does. */
  readonly buffers: number;
  /**
   * Bytes of the unique buffers, those of TensorFlow's variables and of reads of them included. `tf.memory().numBytes`
   * counts a buffer once for each tensor that shares it, and knows no variables.
   */
  readonly bytes: number;
}

/** What counts the memory of an engine. */
export interface MemoryMeter {
  memory(): EngineMemory;
  /** The most bytes that unique buffers had at once, since the engine was opened: what operations use inside is not seen. */
  peakBytes(): number;
}

/** A piece of memory, and how many tensors and variables hold it. */
export interface Buffer {
  readonly bytes: number;
  holders: number;
}

interface Counter {
  bytes: number;
  peakBytes: number;
  readonly buffers: WeakMap<object, Buffer>;
}

const counters = new WeakMap<object, Counter>();

/**
 * Starts to count bytes by unique buffer, from the tensors made after the first call on; the peak begins anew.
 * tfjs has no event for a buffer's birth and death, so the two functions that every tensor passes are wrapped.
 */
export function countBuffers(): MemoryMeter {
  const engine = tf.engine();
  const counter = counterOf(engine);
  counter.peakBytes = counter.bytes;
  return {
    memory: () => ({ tensors: engine.state.numTensors, buffers: engine.state.numDataBuffers, bytes: counter.bytes }),
    peakBytes: () => counter.peakBytes,
  };
}

/** The buffer of a tensor. One that is not counted has no bytes. */
export function bufferOf(tensor: Pick<tf.Tensor, 'dataId'> | undefined): Buffer {
  const known = tensor && counterOf(tf.engine()).buffers.get(tensor.dataId);
  return known ?? { bytes: 0, holders: 1 };
}

/** The buffer of a tensor, with one more holder: a variable that takes it over. */
export function hold(tensor: tf.Tensor): Buffer {
  const buffer = bufferOf(tensor);
  buffer.holders++;
  return buffer;
}

/** Has one holder less of a buffer, which is freed with its last. */
export function letGo(buffer: Buffer): void {
  buffer.holders--;
  if (buffer.holders === 0) counterOf(tf.engine()).bytes -= buffer.bytes;
}

/** The buffer of a variable that was changed in place: another one, where somebody still holds what it was. */
export function changed(buffer: Buffer): Buffer {
  if (buffer.holders === 1) return buffer;
  letGo(buffer);
  return grow(counterOf(tf.engine()), buffer.bytes);
}

let shared: Buffer | undefined;

/** Makes tensors that share a buffer, which tfjs does not know of. */
export function sharing<Result>(buffer: Buffer, make: () => Result): Result {
  const before = shared;
  shared = buffer;
  try {
    return make();
  } finally {
    shared = before;
  }
}

/** Makes tensors that have no memory: they stand for values that are computed elsewhere. */
export function uncounted<Result>(make: () => Result): Result {
  return sharing({ bytes: 0, holders: 1 }, make);
}

function grow(counter: Counter, bytes: number): Buffer {
  counter.bytes += bytes;
  counter.peakBytes = Math.max(counter.peakBytes, counter.bytes);
  return { bytes, holders: 1 };
}

function counterOf(engine: ReturnType<typeof tf.engine>): Counter {
  const known = counters.get(engine);
  if (known !== undefined) return known;
  const counter: Counter = { bytes: 0, peakBytes: 0, buffers: new WeakMap() };
  counters.set(engine, counter);
  watch(engine, counter);
  return counter;
}

function watch(engine: ReturnType<typeof tf.engine>, counter: Counter): void {
  const { trackTensor, removeDataId } = engine;

  engine.trackTensor = function (tensor, backend) {
    const isNew = !this.state.tensorInfo.has(tensor.dataId);
    trackTensor.call(this, tensor, backend);
    if (!isNew) return;
    const buffer = shared ?? grow(counter, this.state.tensorInfo.get(tensor.dataId)?.bytes ?? 0);
    if (shared !== undefined) buffer.holders++;
    counter.buffers.set(tensor.dataId, buffer);
  };

  engine.removeDataId = function (dataId, backend) {
    const wasThere = this.state.tensorInfo.has(dataId);
    removeDataId.call(this, dataId, backend);
    if (!wasThere || this.state.tensorInfo.has(dataId)) return;
    const buffer = counter.buffers.get(dataId);
    if (buffer !== undefined) letGo(buffer);
    counter.buffers.delete(dataId);
  };
}
