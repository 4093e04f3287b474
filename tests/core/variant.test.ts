import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { Driver, definePlugin, type Pass, packRows } from 'mooring';
import { toyRun } from 'mooring/testing';
import { readInstalled } from '../../core/engine/install/cache.ts';

const doubling = definePlugin({
  name: 'doubling',
  apiVersion: 1,
  capturable: true,
  apply({ hooks }) {
    hooks.projection.tap((output, { name, variant }) =>
      name === 'scores' && variant === 'doubled' ? tf.mul<tf.Tensor>(output, 2) : undefined,
    );
    hooks.readParameter.tap((value, { parameter, variant }) =>
      parameter.name === 'head.bias' && variant === 'tripled'
        ? tf.add<tf.Tensor>(value, [3, 0, 0, 0, 0, 0, 0, 0])
        : undefined,
    );
  },
});

const engines = [
  { engine: 'cpu', compile: 'off' },
  ...(readInstalled() === undefined ? [] : [{ engine: 'native', compile: 'on' } as const]),
] as const;

test.each(engines)(
  'a pass has taps compute a variant of it, and the next pass is as it was ($engine, compile: $compile)',
  async (train) => {
    const rows = packRows([{ ids: [0, 1, 2, 3], completionStart: 1 }], { firstRow: 0 });
    const { trainer } = toyRun([doubling()], train);
    await trainer.withServices({ driver: Driver }, async ({ driver }) => {
      const scored = async (variant?: string) => {
        const pass: Pass = { key: 'policy', rows, view: 'policy', variant, gradient: false, outputs: ['logps'] };
        const { logps } = await driver.forward(pass);
        return Array.from((logps as tf.Tensor).dataSync());
      };
      const plain = await scored();
      const doubled = await scored('doubled');
      const tripled = await scored('tripled');
      expect(await scored()).toEqual(plain);
      expect(doubled).not.toEqual(plain);
      expect(tripled).not.toEqual(plain);
      expect(tripled).not.toEqual(doubled);
      expect(await scored('unknown to every tap')).toEqual(plain);
    });
  },
);
