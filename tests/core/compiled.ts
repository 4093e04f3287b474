import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type Block, type BlockScope, Model, type Plugin } from 'mooring';
import { type Observed, observe } from './every-hook/observe.ts';
import { plugin } from './support.ts';

type Train = Parameters<typeof observe>[1];

/** A toy run of three steps on the native engine, operation by operation. */
export const eagerly = (plugins: readonly Plugin[], train: Train = {}) =>
  observe(plugins, { ...native, compile: 'off', ...train });

/** The same, compiled. */
export const compiled = (plugins: readonly Plugin[], train: Train = {}) =>
  observe(plugins, { ...native, compile: 'on', ...train });

const native = { engine: 'native', steps: 3 } as const;

/** What a layer of `stacked` computes. */
export type LayerFunction = (scope: BlockScope, hidden: tf.Tensor) => tf.Tensor;

/** Puts layers that are all alike between the toy's embedding and head. */
export function stacked(layers: number, run: LayerFunction = mixed): Plugin {
  const names = Array.from({ length: layers }, (_, index) => `layer ${index}`);
  const layer = (name: string): Block => ({
    name,
    kind: 'layer',
    parameters: { weight: `${name}.weight` },
    modules: { mix: { kind: 'linear', layout: 'out,in', weight: 'weight' } },
    run: (scope, { hidden }) => ({ hidden: run(scope, hidden as tf.Tensor) }),
  });
  return plugin('stacked', ({ decorate }) => {
    decorate(Model, {
      uses: {},
      create: (toy) => ({
        ...toy,
        parameters: [
          ...toy.parameters,
          ...names.map((name) => ({ name: `${name}.weight`, shape: [4, 4], isDecayed: true })),
        ],
        blocks: [toy.blocks[0] as Block, ...names.map(layer), toy.blocks[1] as Block],
        async *load() {
          yield* toy.load();
          for (const [at, name] of names.entries())
            yield [`${name}.weight`, tf.tidy(() => tf.mul(tf.eye(4), 0.1 * (at + 1)))] as const;
        },
      }),
    });
  });
}

/** What the compiler warned of. */
export function warnings({ logged }: Observed): string[] {
  return logged
    .filter(({ level, message }) => level === 'warn' && message.startsWith('compile'))
    .map(({ message }) => message);
}

/** Records, gradients and weights agree to 1e-5, relative or absolute. */
export function expectSame(one: Observed, other: Observed): void {
  const numbers = ({ records, gradients, final }: Observed) =>
    [...records, ...gradients, final].flatMap((each) =>
      Object.entries(each).map(([name, values]) => [name, [values].flat()] as const),
    );
  const [ours, theirs] = [numbers(one), numbers(other)];
  expect(ours.map(([name]) => name)).toEqual(theirs.map(([name]) => name));
  const off = ours.filter(([, values], at) => {
    const wanted = theirs[at]?.[1] as number[];
    return values.length !== wanted.length || values.some((value, index) => isFar(value, wanted[index] as number));
  });
  expect(off).toEqual([]);
}

function isFar(one: number, other: number): boolean {
  return !(Math.abs(one - other) <= 1e-5 * Math.max(1, Math.abs(other)));
}

function mixed(scope: BlockScope, hidden: tf.Tensor): tf.Tensor {
  return tf.add(hidden, tf.tanh(scope.linear('mix', hidden)));
}
