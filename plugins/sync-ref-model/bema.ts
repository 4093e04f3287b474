import * as tf from '@tensorflow/tfjs';
import type { BemaOptions } from './options.ts';

/** Reads what this rank holds of a parameter of the policy; the caller disposes it. */
export type ReadPolicy = (name: string) => tf.Tensor;

/** What is kept of one parameter. */
interface Averaged {
  /** The policy at the step `updateAfter`: theta_0. */
  start: tf.Tensor;
  /** Its exponential moving average since then. */
  ema: tf.Tensor;
  /** What the last update made of both, and before it the policy that training started from. */
  weights: tf.Tensor;
}

const kinds = ['start', 'ema', 'weights'] as const;

/**
 * The bias-corrected exponential moving average of a policy's parameters (BEMA: Block and Zhang 2025, "EMA Without the
 * Lag: Bias-Corrected Iterate Averaging Schemes", arXiv 2508.00180, algorithm 1), as TRL computes it: at step t
 *
 *     ema = (1 - beta_t) * ema + beta_t * theta_t,   weights = ema + alpha_t * (theta_t - theta_0)
 */
export class BiasCorrectedAverage {
  readonly #options: BemaOptions;
  readonly #averaged = new Map<string, Averaged>();

  constructor(options: BemaOptions) {
    this.#options = options;
  }

  get names(): readonly string[] {
    return [...this.#averaged.keys()];
  }

  /** Starts from the policy as it is, unless a state was loaded. */
  begin(names: Iterable<string>, read: ReadPolicy): void {
    if (this.#averaged.size > 0) return;
    for (const name of names) this.#averaged.set(name, { start: read(name), ema: read(name), weights: read(name) });
  }

  /** What a step does: nothing, a new start, or an update. */
  step(step: number, read: ReadPolicy): void {
    const { everySteps, updateAfter } = this.#options;
    if (step === updateAfter) this.#restart(read);
    else if (step > updateAfter && (step - updateAfter) % everySteps === 0) this.#update(step, read);
  }

  /** A parameter of the average; the caller disposes it. */
  read(name: string): tf.Tensor {
    return tf.clone((this.#averaged.get(name) as Averaged).weights);
  }

  /** The state as tensors by name, `<parameter>/<start | ema | weights>`; the caller disposes them. */
  *save(): Generator<readonly [name: string, value: tf.Tensor]> {
    for (const [name, averaged] of this.#averaged)
      for (const kind of kinds) yield [`${name}/${kind}`, tf.clone(averaged[kind])];
  }

  /** Which parameter each tensor of the state goes with. */
  get layout(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.names.flatMap((name) => kinds.map((kind) => [`${name}/${kind}`, name])));
  }

  /** Takes a state that was saved, and ownership of its tensors. */
  load(tensors: Iterable<readonly [name: string, value: tf.Tensor]>): void {
    this.dispose();
    const all = new Map(tensors);
    for (const name of all.keys()) {
      if (!name.endsWith('/start')) continue;
      const parameter = name.slice(0, -'/start'.length);
      const [start, ema, weights] = kinds.map((kind) => all.get(`${parameter}/${kind}`) as tf.Tensor);
      this.#averaged.set(parameter, { start, ema, weights } as Averaged);
    }
  }

  dispose(): void {
    for (const averaged of this.#averaged.values()) tf.dispose(kinds.map((kind) => averaged[kind]));
    this.#averaged.clear();
  }

  #restart(read: ReadPolicy): void {
    for (const [name, averaged] of this.#averaged) {
      tf.dispose([averaged.start, averaged.ema]);
      averaged.start = read(name);
      averaged.ema = read(name);
    }
  }

  #update(step: number, read: ReadPolicy): void {
    const beta = emaBeta(step, this.#options);
    const alpha = bemaAlpha(step, this.#options);
    for (const [name, { start, ema, weights }] of this.#averaged) {
      const policy = read(name);
      const after = tf.tidy(() => {
        const mean = tf.add(tf.mul(ema, 1 - beta), tf.mul(policy, beta));
        return { ema: mean, weights: tf.add(mean, tf.mul(tf.sub(policy, start), alpha)) };
      });
      tf.dispose([policy, ema, weights]);
      this.#averaged.set(name, { start, ...after });
    }
  }
}

/** beta_t = (lag + multiplier * t)^-emaPower, at least `minEmaMultiplier`: how much of the policy enters the average. */
export function emaBeta(step: number, { lag, multiplier, emaPower, minEmaMultiplier }: BemaOptions): number {
  return Math.max((lag + multiplier * step) ** -emaPower, minEmaMultiplier);
}

/** alpha_t = (lag + multiplier * t)^-biasPower: how far the average is moved along what was trained. */
export function bemaAlpha(step: number, { lag, multiplier, biasPower }: BemaOptions): number {
  return (lag + multiplier * step) ** -biasPower;
}
