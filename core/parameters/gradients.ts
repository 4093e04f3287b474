import { concat, stack, type Tensor, type Tensor1D, tidy } from '@tensorflow/tfjs';
import type { Engine } from '../engine/engine.ts';
import type { NativeBackend } from '../engine/native.ts';
import type { Gradients } from '../tokens.ts';
import { type Cell, createCell, plainCell } from './cell.ts';
import { failure } from './errors.ts';

/** The gradients of a step as the store fills them. */
export interface GradientSums extends Gradients {
  /** Adds to what is there; takes ownership. */
  add(name: string, gradient: Tensor): void;
  /** Frees one. */
  drop(name: string): void;
}

/**
 * Sums gradients by parameter name. The first of a step is kept as it came; where a second micro-step adds to it, the
 * engine's own kind of cell takes its buffer over and adds in place. A buffer exists only for names that got a gradient.
 */
export function createGradients(engine: Engine): GradientSums {
  const sums = new Map<string, Cell>();
  const sumsOfSquares = engine.native ? inOnePass(engine.native.backend) : byRows;
  const drop = (name: string) => {
    sums.get(name)?.dispose();
    sums.delete(name);
  };
  return {
    get names() {
      return [...sums.keys()];
    },
    add(name, gradient) {
      const held = sums.get(name);
      if (held === undefined) {
        sums.set(name, plainCell(gradient));
        return;
      }
      const sum = engine.native && held.variable === undefined ? createCell(engine, held.read()) : held;
      if (sum !== held) held.dispose();
      sums.set(name, sum);
      sum.add(gradient);
    },
    read(name) {
      const held = sums.get(name);
      if (held === undefined) throw failure('GRADIENT_MISSING', { parameter: name });
      return held.read();
    },
    write(name, value) {
      const held = sums.get(name);
      if (held === undefined) sums.set(name, plainCell(value));
      else held.write(value);
    },
    async globalNorm(names = [...sums.keys()]) {
      const some = names.flatMap((name) => sums.get(name) ?? []).filter((sum) => !isEmpty(sum));
      if (some.length === 0) return 0;
      const squares = tidy(() => sumsOfSquares(some.map((sum) => sum.read())));
      const values = squares.dataSync<'float32'>();
      squares.dispose();
      return Math.sqrt(values.reduce((total, value) => total + value, 0));
    },
    drop,
    clear() {
      for (const name of [...sums.keys()]) drop(name);
    },
  };
}

/** Of a parameter that is split among more ranks than it has elements. */
function isEmpty({ shape }: Cell): boolean {
  return shape.includes(0);
}

/** Sums of squares of parts of the gradients, `[parts]`: what is left to add is added in double precision. */
type SumsOfSquares = (gradients: readonly Tensor[]) => Tensor1D;

/**
 * One part a gradient, by TensorFlow's `L2Loss` (half the sum), which makes no tensor of squares: 11 ms for 100M numbers
 * where rows take 44. It adds up to 1024 numbers to each of its lanes before it adds pairwise: within 1e-7 for random
 * numbers, and within 1024 * 2^-24 where all are equal and every rounding goes the same way.
 */
function inOnePass(backend: NativeBackend): SumsOfSquares {
  const type = { name: 'T', type: backend.binding.TF_ATTR_TYPE, value: backend.binding.TF_FLOAT };
  return (gradients) => {
    const halves = gradients.map((gradient) => backend.executeSingleOutput('L2Loss', [type], [gradient]));
    return stack(halves).mul(2);
  };
}

/** One part a row, over the last axis only: whole gradients added in float32 would lose digits. */
const byRows: SumsOfSquares = (gradients) =>
  concat(
    gradients.map((gradient) =>
      gradient
        .square()
        .reshape([-1, gradient.shape.at(-1) ?? 1])
        .sum<Tensor1D>(1),
    ),
  );
