import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { definePlugin, type Log, MooringError, Objective, type Plugin, packRows, type TextBatch } from 'mooring';
import { Hooks, type TapFace } from '../../core/hooks/registry.ts';
import type { PluginContext, Uses } from '../../core/plugin.ts';

/** The hooks of the plugins `alpha`, `bravo` and `charlie`, frozen once `register` has tapped them. */
export function tapped(register: (face: Record<'alpha' | 'bravo' | 'charlie', TapFace>) => void): Hooks {
  const hooks = new Hooks();
  register({ alpha: hooks.face('alpha'), bravo: hooks.face('bravo'), charlie: hooks.face('charlie') });
  hooks.freeze(['alpha', 'bravo', 'charlie']);
  return hooks;
}

/** The error of Mooring's own that an action ends with. */
export async function failureOf(action: () => unknown): Promise<MooringError> {
  const outcome: unknown = await Promise.resolve()
    .then(action)
    .then(
      () => 'no error',
      (error: unknown) => error,
    );
  expect(outcome).toBeInstanceOf(MooringError);
  return outcome as MooringError;
}

/** A plugin of one line, for a test. */
export function plugin<const Used extends Uses = Record<never, never>>(
  name: string,
  apply: (context: PluginContext<undefined, Used>) => void,
  uses?: Used,
): Plugin {
  return definePlugin({ name, apiVersion: 1, ...(uses === undefined ? {} : { uses }), apply })();
}

/** A batch of one row `0, 1, 2`, of which two tokens are scored. */
export function textBatch(position = 0): TextBatch {
  const rows = packRows([{ ids: [0, 1, 2], completionStart: 1 }]);
  return { kind: 'text', position, origin: `test batch ${position}`, counts: { row: 1, token: 2 }, rows };
}

/** A log that says nothing. */
export const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Scores the reference too, and logs what it says. */
export const comparing = plugin('comparing', ({ decorate }) =>
  decorate(Objective, {
    uses: {},
    create: (inner) => ({
      ...inner,
      passes(batch) {
        const { rows } = batch as TextBatch;
        return [...inner.passes(batch), { key: 'reference', of: 'reference', rows, outputs: ['logps'] }];
      },
      metrics: ({ outputs }) => ({
        'logps/ref': { value: tf.mean(outputs.reference?.logps as tf.Tensor), reduce: 'mean' },
      }),
    }),
  }),
);
