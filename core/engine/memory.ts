import * as tf from '@tensorflow/tfjs';

/** What lives in an engine. */
export interface EngineMemory {
  /** Tensor objects, aliases included. */
  readonly tensors: number;
  /** Unique buffers: a reshaped or cloned tensor shares its source's where the engine does. */
  readonly buffers: number;
  /**
   * Bytes of the unique buffers. `tf.memory().numBytes` counts a buffer once for each tensor that shares it. Variables
   * of TensorFlow are outside of tfjs's sight, and so are reads of them; `store.bytesResident(view)` knows what they hold.
   */
  readonly bytes: number;
}

const counters = new WeakMap<object, { bytes: number }>();

/**
 * Starts to count bytes by unique buffer, from the tensors made after the first call on.
 * tfjs has no event for a buffer's birth and death, so the two functions that every tensor passes are wrapped.
 */
export function countBuffers(): () => EngineMemory {
  const engine = tf.engine();
  const counter = counters.get(engine) ?? { bytes: 0 };
  if (!counters.has(engine)) {
    counters.set(engine, counter);
    watch(engine, counter);
  }
  return () => ({ tensors: engine.state.numTensors, buffers: engine.state.numDataBuffers, bytes: counter.bytes });
}

let isShared = false;

/** Makes tensors that share a buffer which tfjs does not know, so that its bytes are not counted once for each. */
export function sharing<Result>(make: () => Result): Result {
  isShared = true;
  try {
    return make();
  } finally {
    isShared = false;
  }
}

function watch(engine: ReturnType<typeof tf.engine>, counter: { bytes: number }): void {
  const sizes = new WeakMap<object, number>();
  const { trackTensor, removeDataId } = engine;

  engine.trackTensor = function (tensor, backend) {
    const isNew = !this.state.tensorInfo.has(tensor.dataId);
    trackTensor.call(this, tensor, backend);
    if (!isNew) return;
    const size = isShared ? 0 : (this.state.tensorInfo.get(tensor.dataId)?.bytes ?? 0);
    sizes.set(tensor.dataId, size);
    counter.bytes += size;
  };

  engine.removeDataId = function (dataId, backend) {
    const wasThere = this.state.tensorInfo.has(dataId);
    removeDataId.call(this, dataId, backend);
    if (!wasThere || this.state.tensorInfo.has(dataId)) return;
    counter.bytes -= sizes.get(dataId) ?? 0;
  };
}
