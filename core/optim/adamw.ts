import { dispose, fill, mul, scalar, type Tensor, tidy } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Engine } from '../engine/engine.ts';
import type { MooringError } from '../errors.ts';
import { type Cell, createCell } from '../parameters/cell.ts';
import type { Optimizer, ParameterStore } from '../tokens.ts';
import { type ApplyAdam, adamOf, move } from './adam.ts';
import { failure } from './errors.ts';

/** A parameter's state: how many steps it took, and torch's `exp_avg` and `exp_avg_sq`. */
interface State {
  steps: number;
  readonly exp_avg: Cell;
  readonly exp_avg_sq: Cell;
}

const moments = ['exp_avg', 'exp_avg_sq'] as const;
const savedSchema = z.strictObject({ steps: z.record(z.string(), z.int().positive()) });

/**
 * torch's AdamW (Loshchilov and Hutter 2019): decay by `1 - learningRate * weightDecay` before the step, on the
 * parameters that are decayed, and an epsilon that the bias correction does not scale. A parameter gets its state with
 * its first gradient. `scale` multiplies the gradients.
 * On the native engine 100M parameters take 70 ms, decay 29 more, and a scale below 1 another 22: each is one pass at the
 * speed of the memory (`tests/bench/optimizer.ts`). Decaying in place, by `ResourceScatterMul` or
 * `ResourceApplyProximalGradientDescent`, took 74 and 57 ms.
 */
export function createAdamW(options: {
  readonly store: ParameterStore;
  readonly engine: Engine;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}): Optimizer {
  const { store, engine, weightDecay, eps } = options;
  // float32 from the start: 1 - beta is then exact on every engine, and the corrections fit the averages
  const beta1 = Math.fround(options.beta1);
  const beta2 = Math.fround(options.beta2);
  const adam = adamOf(engine);
  const states = new Map<string, State>();

  return {
    step(gradients, { learningRate, scale }) {
      tidy(() => {
        const updateAfter = updates(learningRate);
        const decay = scalar(1 - learningRate * weightDecay);
        const factor = scalar(scale);
        for (const name of gradients.names) {
          const read = gradients.read(name);
          const gradient = scale === 1 ? read : mul(read, factor);
          const state = stateOf(name, gradient.shape);
          state.steps++;
          store.update(name, (parameter) => {
            if (weightDecay > 0 && store.spec(name).isDecayed) move(parameter, (value) => mul(value, decay));
            const cells = { parameter, average: state.exp_avg, squareAverage: state.exp_avg_sq };
            updateAfter(state.steps)(cells, gradient);
          });
          dispose([read, gradient]);
        }
      });
    },
    save() {
      const steps = Object.fromEntries(Array.from(states, ([name, state]) => [name, state.steps]));
      return { json: { steps }, tensors: readAll() };
    },
    load({ json, tensors }) {
      const parsed = savedSchema.safeParse(json);
      if (!parsed.success) throw misfit(z.prettifyError(parsed.error));
      clear();
      const cells = new Map(Array.from(tensors, ([name, value]) => [name, createCell(engine, value)]));
      try {
        for (const [name, steps] of Object.entries(parsed.data.steps)) {
          if (!store.names.includes(name)) throw misfit(`there is no parameter "${name}"`);
          states.set(name, {
            steps,
            exp_avg: take(cells, name, 'exp_avg'),
            exp_avg_sq: take(cells, name, 'exp_avg_sq'),
          });
        }
        if (states.size * moments.length < cells.size)
          throw misfit('it has moments of parameters without a step count');
      } catch (error) {
        for (const cell of cells.values()) cell.dispose();
        states.clear();
        throw error;
      }
    },
    dispose: clear,
  };

  function* readAll(): Generator<readonly [string, Tensor]> {
    for (const [name, state] of states) for (const moment of moments) yield [`${name}/${moment}`, state[moment].read()];
  }

  /** The update of a step by a parameter's step count: those with equal counts share the numbers that go with it. */
  function updates(learningRate: number): (steps: number) => ApplyAdam {
    const made = new Map<number, ApplyAdam>();
    return (steps) => {
      const correction2 = Math.sqrt(1 - beta2 ** steps);
      const rate = (learningRate * correction2) / (1 - beta1 ** steps);
      const update = made.get(steps) ?? adam({ beta1, beta2, rate, eps: eps * correction2 });
      made.set(steps, update);
      return update;
    };
  }

  function stateOf(name: string, shape: number[]): State {
    const state = states.get(name) ?? {
      steps: 0,
      exp_avg: createCell(engine, fill(shape, 0)),
      exp_avg_sq: createCell(engine, fill(shape, 0)),
    };
    states.set(name, state);
    for (const moment of moments) {
      const held = state[moment].shape.join(', ');
      if (held !== shape.join(', ')) {
        throw misfit(`"${name}/${moment}" has shape [${held}], the gradient [${shape.join(', ')}]`);
      }
    }
    return state;
  }

  function clear(): void {
    for (const state of states.values()) for (const moment of moments) state[moment].dispose();
    states.clear();
  }
}

function take(cells: ReadonlyMap<string, Cell>, parameter: string, moment: (typeof moments)[number]): Cell {
  const cell = cells.get(`${parameter}/${moment}`);
  if (cell !== undefined) return cell;
  throw misfit(`"${parameter}/${moment}" is missing`);
}

function misfit(reason: string): MooringError {
  return failure('OPTIMIZER_STATE', { reason });
}
