import * as tf from '@tensorflow/tfjs';
import type { Plugin } from 'mooring';
import { plugin } from './support.ts';

/** Answers for the reference with log-probabilities alone, without its prediction. */
export const answering: Plugin = plugin('cache', ({ hooks }) =>
  hooks.pass.tap(({ pass }) =>
    pass.view === 'reference' ? { logps: tf.zeros([pass.rows.targets.label.length]) } : undefined,
  ),
);
