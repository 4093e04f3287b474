/** What the compiler refuses of taps: `npm run types` fails where an error expected here does not come. */
import * as tf from '@tensorflow/tfjs';
import { definePlugin, type HookName } from 'mooring';
import type { HookRow } from '../../core/lifecycle.ts';

export const taps = definePlugin({
  name: 'taps',
  apiVersion: 1,
  apply({ hooks }) {
    // every kind as it is meant
    hooks.stepEnd.tap(({ step, record }) => void [step.index, record.loss]);
    hooks.stepEnd.tap(async ({ step }) => void step.epoch);
    hooks.batch.tap(async (batch) => ({ ...batch, origin: 'elsewhere' }));
    hooks.pass.tap(() => undefined);
    hooks.lossTerms.tap(() => ({ penalty: { sum: tf.scalar(0), per: 'row' } }));
    hooks.evaluate.tap(async () => ({ wins: 1 }));

    // a waterfall may leave the value as it is
    hooks.settings.tap((settings) => (settings.learningRate > 1 ? { ...settings, learningRate: 1 } : undefined));
    hooks.gradient.tap(() => undefined);
    hooks.configure.tap(() => undefined);

    // @ts-expect-error: a synchronous waterfall waits for nothing
    hooks.settings.tap(async (settings) => settings);
    // @ts-expect-error: a synchronous waterfall waits for nothing
    hooks.gradient.tap(async () => undefined);
    // @ts-expect-error: a synchronous waterfall waits for nothing
    hooks.projection.tap(async (output) => output);
    // @ts-expect-error: a synchronous collect waits for nothing
    hooks.lossTerms.tap(async () => ({ penalty: { sum: tf.scalar(0), per: 'row' } }));
    // @ts-expect-error: a synchronous collect waits for nothing
    hooks.metrics.tap(async () => undefined);

    // @ts-expect-error: null is neither a value nor "unchanged"
    hooks.settings.tap(() => null);
    // @ts-expect-error: a waterfall returns its own kind of value
    hooks.batch.tap(() => 'batch');
    // @ts-expect-error: an observer returns nothing
    hooks.stepEnd.tap(() => 1);
    // @ts-expect-error: a loss term says what it is divided by
    hooks.lossTerms.tap(() => ({ penalty: { sum: tf.scalar(0) } }));
    // @ts-expect-error: there is no such hook
    hooks.stepFinish.tap(() => undefined);
    // @ts-expect-error: stages are tapable's, names are ours
    hooks.stepEnd.tap(() => undefined, { stage: -1 });
  },
});

const row: HookRow<'settings'> = {
  kind: 'sync waterfall',
  when: 'always',
  args: ['step', 'last'],
  returns: 'replaces',
};

// @ts-expect-error: a row without a kind
export const withoutKind: HookRow<'settings'> = { when: row.when, args: row.args, returns: row.returns };
// @ts-expect-error: a row without its arguments
export const withoutArguments: HookRow<'settings'> = { kind: row.kind, when: row.when, returns: row.returns };
// @ts-expect-error: a row without the words that document it
export const withoutWords: HookRow<'settings'> = { kind: row.kind, args: row.args, returns: row.returns };
// @ts-expect-error: a row of another kind than the hook's type
export const ofAnotherKind: HookRow<'settings'> = { ...row, kind: 'series' };
// @ts-expect-error: a row that lists an argument that the hook does not have
export const ofAnotherArgument: HookRow<'settings'> = { ...row, args: ['record'] };
// @ts-expect-error: a table that leaves out a hook
export const incomplete: { readonly [Name in HookName]: HookRow<Name> } = { settings: row };
