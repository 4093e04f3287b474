import { add, keep, square, stack, sum, type Tensor, tidy } from '@tensorflow/tfjs';
import type { Gradients } from '../tokens.ts';
import { failure } from './errors.ts';

/** The gradients of a step as the store fills them. */
export interface GradientSums extends Gradients {
  /** Adds to what is there; takes ownership. */
  add(name: string, gradient: Tensor): void;
  /** Frees one. */
  drop(name: string): void;
}

/** Sums gradients by parameter name as plain tensors: a buffer exists only for names that got one. */
export function createGradients(): GradientSums {
  const sums = new Map<string, Tensor>();
  const replace = (name: string, value: Tensor) => {
    const held = sums.get(name);
    if (held !== value) held?.dispose();
    sums.set(name, keep(value));
  };
  return {
    get names() {
      return [...sums.keys()];
    },
    add(name, gradient) {
      const held = sums.get(name);
      if (held === undefined) return replace(name, gradient);
      replace(name, add(held, gradient));
      gradient.dispose();
    },
    read(name) {
      const held = sums.get(name);
      if (held === undefined) throw failure('GRADIENT_MISSING', { parameter: name });
      return held.clone();
    },
    write: replace,
    globalNorm() {
      if (sums.size === 0) return 0;
      const squares = tidy(() => stack([...sums.values()].map(sumOfSquares)));
      const values = squares.dataSync<'float32'>();
      squares.dispose();
      return Math.sqrt(values.reduce((total, value) => total + value, 0));
    },
    drop(name) {
      sums.get(name)?.dispose();
      sums.delete(name);
    },
    clear() {
      for (const held of sums.values()) held.dispose();
      sums.clear();
    },
  };
}

/** Scalar. Summed axis by axis: a float32 sum over millions of elements in a row would lose the small ones. */
function sumOfSquares(gradient: Tensor): Tensor {
  return tidy(() => {
    let partial: Tensor = square(gradient);
    while (partial.rank > 0) partial = sum(partial, -1);
    return partial;
  });
}
