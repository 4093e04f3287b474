import { type Tensor, tidy } from '@tensorflow/tfjs';
import { closest } from 'fastest-levenshtein';
import type { Engine } from '../engine/engine.ts';
import type { ParameterSpec } from '../model.ts';
import type { ParameterStore } from '../tokens.ts';
import { type ParameterStorage, packBfloat16, widen } from './bfloat16.ts';
import { type Cell, createCell, plainCell } from './cell.ts';
import { checkShape } from './check-shape.ts';
import { failure } from './errors.ts';
import { fingerprintOf } from './fingerprint.ts';
import { createGradients } from './gradients.ts';

/** A value of a parameter in a view. Slots of equal version hold the same buffer. */
interface Slot {
  readonly cell: Cell;
  readonly storage: ParameterStorage;
  version: number;
}

type View = Map<string, Slot>;

const policyName = 'policy';

/**
 * Keeps whole parameters in this process. The policy's live in cells of the engine; a snapshot holds reads of them,
 * which share the buffer until the parameter is changed. Frozen ones may be stored as bfloat16. Throws the errors of `core/parameters/errors.ts`.
 */
export function createParameterStore(engine: Engine): ParameterStore {
  const specs = new Map<string, ParameterSpec>();
  const frozen = new Set<string>();
  const narrow = new Set<string>();
  const policy: View = new Map();
  const views = new Map<string, View>([[policyName, policy]]);
  const gradients = createGradients(engine);
  const versions = new Versions();

  const store: ParameterStore = {
    define(spec) {
      if (specs.has(spec.name)) throw failure('PARAMETER_DEFINED_TWICE', { parameter: spec.name });
      specs.set(spec.name, spec);
    },
    get names() {
      return [...specs.keys()];
    },
    spec: specOf,
    load(name, value) {
      checkShape(specOf(name), value);
      if (policy.has(name)) throw failure('PARAMETER_LOADED_TWICE', { parameter: name });
      policy.set(name, slotFor(value, narrow.has(name) ? 'bfloat16' : 'float32'));
    },
    unload(name) {
      slotOf(name, policyName).cell.dispose();
      policy.delete(name);
    },
    read(name, view) {
      const { cell, storage, version } = slotOf(name, view);
      if (storage === 'bfloat16') return tidy(() => widen(cell.read(), specOf(name).shape));
      return versions.remember(cell.read(), version);
    },
    readStored: (name, view) => slotOf(name, view).cell.read(),
    write(name, view, value) {
      slotOf(name, view);
      checkShape(specOf(name), value);
      const slot = viewOf(view).get(name);
      if (slot === undefined) {
        // what a view shared with the policy becomes its own
        viewOf(view).set(name, { cell: plainCell(value), storage: 'float32', version: versions.of(value) });
        return;
      }
      slot.version = slot.storage === 'float32' ? versions.of(value) : versions.next();
      slot.cell.write(slot.storage === 'float32' ? value : packed(value));
    },
    range: (name) => ({ begin: 0, end: specOf(name).shape.reduce((product, size) => product * size, 1) }),
    readShard: (name, view) => store.read(name, view),
    loadShard: (name, value) => store.load(name, value),
    writeShard: (name, view, value) => store.write(name, view, value),
    withGathered: (_names, _view, body) => body(),
    version: (name, view) => slotOf(name, view).version,
    storage: (name, view) => slotOf(name, view).storage,
    setStorage(name, storage) {
      if (storage === 'bfloat16' && store.isTrainable(name)) throw failure('STORAGE_OF_TRAINED', { parameter: name });
      if (storage === 'bfloat16') narrow.add(name);
      else narrow.delete(name);
      const slot = policy.get(specOf(name).name);
      if (slot === undefined || slot.storage === storage) return;
      policy.set(name, slotFor(store.read(name, policyName), storage));
      slot.cell.dispose();
    },
    update(name, change) {
      const slot = slotOf(name, policyName);
      slot.version = versions.next();
      change(slot.cell);
      slot.cell.changed?.();
    },
    isTrainable: (name) => !frozen.has(specOf(name).name),
    setTrainable(name, isTrainable) {
      specOf(name);
      if (isTrainable && narrow.has(name)) throw failure('STORAGE_OF_TRAINED', { parameter: name });
      if (isTrainable) frozen.delete(name);
      else {
        frozen.add(name);
        gradients.drop(name);
      }
    },
    accumulate(name, gradient) {
      checkShape(specOf(name), gradient);
      if (frozen.has(name)) throw failure('PARAMETER_FROZEN', { parameter: name });
      gradients.add(name, gradient);
    },
    gradients,
    addView(view, { names = store.names, storage = 'float32' } = {}) {
      if (views.has(view)) throw failure('VIEW_EXISTS', { view });
      // all or none: a parameter without values is found before the first read is held
      const slots = names.map((name) => [name, slotOf(name, policyName)] as const);
      const snapshot = (name: string, slot: Slot): Slot =>
        // packed now and not when it is trained, so that the view is the same from first to last
        storage === 'bfloat16' && store.isTrainable(name)
          ? slotFor(slot.cell.read(), storage)
          : { ...slot, cell: plainCell(slot.cell.read()) };
      views.set(view, new Map(slots.map(([name, slot]) => [name, snapshot(name, slot)])));
    },
    removeView(view) {
      if (view === policyName) throw failure('VIEW_IS_POLICY', {});
      for (const { cell } of viewOf(view).values()) cell.dispose();
      views.delete(view);
    },
    bytesResident(view) {
      const own = viewOf(view);
      const elsewhere = new Set<number>();
      for (const other of views.values()) {
        if (other !== own) for (const { version } of other.values()) elsewhere.add(version);
      }
      const only = [...own.values()].filter(({ version }) => !elsewhere.has(version));
      return only.reduce((bytes, { cell }) => bytes + bytesOf(cell.shape), 0);
    },
    fingerprint: (view, names = store.names) => fingerprintOf(store, names, view),
    dispose() {
      gradients.clear();
      for (const view of views.values()) for (const { cell } of view.values()) cell.dispose();
      views.clear();
      specs.clear();
    },
  };
  return store;

  /** Takes ownership of `value`. */
  function slotFor(value: Tensor, storage: ParameterStorage): Slot {
    const cell = storage === 'float32' ? createCell(engine, value) : plainCell(packed(value));
    return { cell, storage, version: versions.next() };
  }

  function specOf(name: string): ParameterSpec {
    const spec = specs.get(name);
    if (spec !== undefined) return spec;
    const nearest = specs.size > 0 ? closest(name, [...specs.keys()]) : '';
    throw failure('PARAMETER_UNKNOWN', { parameter: name, nearest });
  }

  function viewOf(view: string): View {
    const found = views.get(view);
    if (found !== undefined) return found;
    throw failure('VIEW_UNKNOWN', { view, views: [...views.keys()].join(', ') });
  }

  function slotOf(name: string, view: string): Slot {
    const slot = viewOf(view).get(specOf(name).name) ?? policy.get(name);
    if (slot !== undefined) return slot;
    throw failure('PARAMETER_NOT_LOADED', { parameter: name, view });
  }
}

/** Numbers the buffers that parameters have had: a value read here and written elsewhere keeps its number. */
class Versions {
  readonly #ofData = new WeakMap<object, number>();
  #last = 0;

  next(): number {
    return ++this.#last;
  }

  of(value: Tensor): number {
    return this.#ofData.get(value.dataId) ?? this.next();
  }

  remember(value: Tensor, version: number): Tensor {
    this.#ofData.set(value.dataId, version);
    return value;
  }
}

/** Takes ownership of `value`. */
function packed(value: Tensor): Tensor {
  const pairs = packBfloat16(value);
  value.dispose();
  return pairs;
}

function bytesOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 4);
}
