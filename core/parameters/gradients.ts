import { add, concat, keep, square, type Tensor, type Tensor1D, tidy } from '@tensorflow/tfjs';
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
      const squares = tidy(() => concat([...sums.values()].map(sumsOfSquares)));
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

/** `[rows]`, over the last axis only: the rest is added in double precision, where millions of addends lose nothing. */
function sumsOfSquares(gradient: Tensor): Tensor1D {
  return square(gradient)
    .reshape([-1, gradient.shape.at(-1) ?? 1])
    .sum(1);
}
