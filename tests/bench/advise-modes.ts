import type { Plugin, TrainSettings } from 'mooring';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import type { Setting } from '../../plugins/advise/predict-memory.ts';
import { emptyFolder } from './empty-folder.ts';

/** A run whose memory is predicted and measured. */
export interface AdviseMode {
  /** The mechanism's name in `plugins/advise/mechanisms.ts`. */
  readonly mechanism: string;
  readonly plugins: (model: string) => readonly Plugin[];
  /** Of a run that is sharded: by so many ranks. */
  readonly ranks?: number;
  readonly train?: Partial<TrainSettings>;
  /** What differs from compiled runs whose pairs share their prompts. */
  readonly setting?: Partial<Setting>;
  readonly sharesPrompts?: boolean;
}

export const adviseSteps = 3;

const eager = { isCompiled: false, recompute: 'none' } as const;
const recomputed = { isCompiled: true, recompute: 'block' } as const;
const cached = () => [refCache({ directory: emptyFolder() })];
const mixed = () => [refClone(), syncRefModel({ everySteps: 1, mixupAlpha: 0.6 })];
const averaged = () => [refClone(), syncRefModel({ everySteps: 1, bema: { everySteps: 1 } })];
const copied = () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 1 })];

const lora = (options: object) => [peftLora({ r: 16, targetModules: 'all-linear', ...options })];

const sharded = (
  ranks: number,
  mechanism: string,
  plugins: AdviseMode['plugins'],
  stage: 1 | 2 | 3 = 3,
): AdviseMode => ({
  mechanism,
  ranks,
  plugins: (model) => [zero3Shard({ ranks, stage }), ...plugins(model)],
  setting: { ranks },
});

/** A mode is one row: its name, what it is predicted as, and the plugins that it runs. */
export const adviseModes: Readonly<Record<string, AdviseMode>> = {
  clone: { mechanism: 'full, clone', plugins: () => [refClone()] },
  'clone, soft sync': { mechanism: 'full, clone', plugins: mixed, setting: { isMixed: true } },
  'clone, averaged': {
    mechanism: 'full, clone',
    plugins: averaged,
    setting: { average: { besideWhole: 2, besidePacked: 3, isUpdated: true } },
  },
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
  'clone in bf16': { mechanism: 'full, clone in bf16', plugins: () => [refClone({ storage: 'bfloat16' })] },
  reload: { mechanism: 'full, reload', plugins: (model) => [refReload({ model })] },
  'reload in bf16': {
    mechanism: 'full, reload in bf16',
    plugins: (model) => [refReload({ model, storage: 'bfloat16' })],
  },
  'reload from disk': {
    mechanism: 'full, reload from disk',
    plugins: (model) => [refReload({ model, offload: 'disk' })],
  },
  lora: { mechanism: 'LoRA, adapters off', plugins: () => lora({ reference: 'adapters-off' }) },
  'lora, base in bf16': {
    mechanism: 'LoRA, adapters off, base in bf16',
    plugins: () => lora({ storage: 'bfloat16' }),
  },
  'lora, snapshot': { mechanism: 'LoRA, adapter snapshot', plugins: () => lora({ reference: 'adapter-snapshot' }) },
  cached: { mechanism: 'full, cached', plugins: cached },
  'clone on 2 ranks': sharded(2, 'ZeRO-3, clone', () => [refClone()]),
  'clone on 4 ranks': sharded(4, 'ZeRO-3, clone', () => [refClone()]),
  'clone on 2 ranks, stage 2': sharded(2, 'ZeRO-2, clone', () => [refClone()], 2),
  'clone on 2 ranks, stage 1': sharded(2, 'ZeRO-1, clone', () => [refClone()], 1),
  'reload from disk on 2 ranks': sharded(2, 'ZeRO-3, reload from disk', (model) => [
    refReload({ model, offload: 'disk' }),
  ]),
  'lora, base in bf16 on 2 ranks': sharded(2, 'ZeRO-3, LoRA, adapters off, base in bf16', () =>
    lora({ storage: 'bfloat16' }),
  ),
};
