import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import type { HookName } from 'mooring';
import { plugin } from '../support.ts';
import { type Case, dot, observe } from './observe.ts';

/** Hooks around and inside the blocks. */
export const insideABlock = {
  beforeForward: {
    claim: 'is awaited before each block of a forward pass, in order',
    test: () =>
      visits('beforeForward', [
        ['embedding', 'head', 'policy'],
        ['head', undefined, 'policy'],
      ]),
  },
  afterForward: {
    claim: 'is awaited after each block of a forward pass',
    test: () =>
      visits('afterForward', [
        ['embedding', 'head', 'policy'],
        ['head', undefined, 'policy'],
      ]),
  },
  beforeBackward: {
    claim: 'is awaited before each block of a backward pass, from the last to the first',
    test: () =>
      visits('beforeBackward', [
        ['head', 'embedding', 'policy'],
        ['embedding', undefined, 'policy'],
      ]),
  },
  afterBackward: {
    claim: 'is awaited after each block of a backward pass',
    test: () =>
      visits('afterBackward', [
        ['head', 'embedding', 'policy'],
        ['embedding', undefined, 'policy'],
      ]),
  },
  readParameter: {
    claim: 'replaces what a block reads, differentiated also by parameters of its own',
    async test() {
      const seen = new Set<string>();
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.modelDefined.tap(({ define }) => {
          define('head', 'scale', { name: 'alpha.scale', shape: [], isDecayed: false }, tf.scalar(1));
        });
        hooks.readParameter.tap((value, { block, parameter, view, read }) => {
          seen.add(`${block.name} ${parameter.name} ${view}`);
          return parameter.name === 'head.weight' ? tf.mul<tf.Tensor>(value, read('scale')) : undefined;
        });
      });
      const { gradients, initial, final } = await observe([tap]);
      expect([...seen]).toEqual([
        'embedding embedding.weight policy',
        'head head.weight policy',
        'head head.bias policy',
      ]);
      // d loss / d scale = sum of weight * (d loss / d scaled weight), and at scale 1 the latter is the weight's gradient
      const expected = dot(initial['head.weight'], gradients[0]?.['head.weight']);
      expect(gradients[0]?.['alpha.scale']?.[0]).toBeCloseTo(expected, 5);
      expect(final['alpha.scale']).not.toEqual(initial['alpha.scale']);

      const constant = plugin('alpha', ({ hooks }) => {
        hooks.readParameter.tap((value, { parameter }) =>
          parameter.name === 'head.weight' ? tf.zerosLike(value) : undefined,
        );
      });
      const cut = await observe([constant]);
      expect(new Set(cut.gradients[0]?.['head.weight'])).toEqual(new Set([0])); // nothing reads it any more
      expect(cut.records[0]?.loss).not.toBe((await observe()).records[0]?.loss);
    },
  },
  projection: {
    claim: "replaces a linear's or embedding's output, differentiated also by parameters of its own",
    async test() {
      const seen = new Map<string, unknown[]>();
      const tap = plugin('alpha', ({ hooks }) => {
        hooks.modelDefined.tap(({ define }) => {
          define('head', 'scale', { name: 'alpha.scale', shape: [], isDecayed: false }, tf.scalar(1));
        });
        hooks.projection.tap((output, { block, name, module, input, weight, view, read }) => {
          seen.set(name, [block.name, module.kind, input.shape, weight().shape, output.shape, view]);
          return name === 'scores' ? tf.mul<tf.Tensor>(output, read('scale')) : undefined;
        });
      });
      const plain = await observe();
      const { gradients, initial, records } = await observe([tap]);
      // two rows of four ids; six of the eight states predict a token
      expect(seen.get('tokens')).toEqual(['embedding', 'embedding', [8], [8, 4], [8, 4], 'policy']);
      expect(seen.get('scores')).toEqual(['head', 'linear', [6, 4], [8, 4], [6, 8], 'policy']);
      expect(records[0]?.loss).toBe(plain.records[0]?.loss);
      // the output is linear in weight and bias together, so that (Euler) d loss / d scale = w * dw + b * db
      const [found] = gradients;
      const expected =
        dot(initial['head.weight'], found?.['head.weight']) + dot(initial['head.bias'], found?.['head.bias']);
      expect(found?.['alpha.scale']?.[0]).toBeCloseTo(expected, 5);
    },
  },
} satisfies Partial<Record<HookName, Case>>;

type VisitHook = 'beforeForward' | 'afterForward' | 'beforeBackward' | 'afterBackward';

async function visits(hook: VisitHook, expected: readonly (string | undefined)[][]): Promise<void> {
  const seen: (string | undefined)[][] = [];
  const tap = plugin('alpha', ({ hooks }) => {
    hooks[hook].tap(async ({ block, next, pass }) => {
      await Promise.resolve();
      seen.push([block.name, next?.name, pass.key]);
    });
  });
  await observe([tap]);
  expect(seen).toEqual(expected);
}
