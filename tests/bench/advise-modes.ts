import type { Plugin, TrainSettings } from 'mooring';
import { refClone } from 'mooring/plugins/ref-clone';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import type { Setting } from '../../plugins/advise/predict-memory.ts';
import { cachedReference } from './cached-reference.ts';

/** A run whose memory is predicted and measured. */
export interface AdviseMode {
  /** The mechanism's name in `plugins/advise/mechanisms.ts`. */
  readonly mechanism: string;
  readonly plugins: () => readonly Plugin[];
  readonly train?: Partial<TrainSettings>;
  /** What differs from compiled runs whose pairs share their prompts. */
  readonly setting?: Partial<Setting>;
  readonly sharesPrompts?: boolean;
}

export const adviseSteps = 3;

const eager = { isCompiled: false, recompute: 'none' } as const;
const recomputed = { isCompiled: true, recompute: 'block' } as const;
const cached = () => [refClone(), cachedReference({ batches: adviseSteps })];
const mixed = () => [refClone(), syncRefModel({ everySteps: 1, mixupAlpha: 0.6 })];
const copied = () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 1 })];

/** A mode is one row: its name, what it is predicted as, and the plugins that it runs. */
export const adviseModes: Readonly<Record<string, AdviseMode>> = {
  clone: { mechanism: 'full, clone', plugins: () => [refClone()] },
  'clone, soft sync': { mechanism: 'full, clone', plugins: mixed, setting: { isMixed: true } },
  'clone, hard sync': { mechanism: 'full, clone', plugins: copied },
  'clone, rows apart': { mechanism: 'full, clone', plugins: () => [refClone()], sharesPrompts: false },
  'clone, recomputed': {
    mechanism: 'full, clone',
    plugins: () => [refClone()],
    train: { recompute: 'block' },
    setting: { running: recomputed },
  },
  'clone, eager': {
    mechanism: 'full, clone',
    plugins: () => [refClone()],
    train: { compile: 'off' },
    setting: { running: eager },
  },
  cached: { mechanism: 'full, cached', plugins: cached },
};
