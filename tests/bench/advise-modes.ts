import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { definePlugin, ParameterStore, type Plugin, type TrainSettings } from 'mooring';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import type { Setting } from '../../plugins/advise/predict-memory.ts';
import { emptyFolder } from './empty-folder.ts';

/** A run whose memory is predicted and measured. */
export interface AdviseMode {
  /** The mechanism's name in `plugins/advise/mechanisms.ts`. */
  readonly mechanism: string;
  readonly plugins: (model: string) => readonly Plugin[];
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
const copied = () => [refClone(), syncRefModel({ everySteps: 2, mixupAlpha: 1 })];

const lora = (reference: 'adapters-off' | 'adapter-snapshot') =>
  peftLora({ r: 16, targetModules: 'all-linear', reference });

/** Keeps what is frozen as bfloat16. */
const packedBase = definePlugin({
  name: 'packed-base',
  apiVersion: 1,
  uses: { store: ParameterStore },
  apply({ hooks, services: used }) {
    hooks.modelDefined.tap(({ model }) => {
      for (const { name, shape } of model.parameters) if (shape.length > 1) used.store.setStorage(name, 'bfloat16');
    });
  },
});

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
  'clone in bf16': { mechanism: 'full, clone in bf16', plugins: () => [refClone({ storage: 'bfloat16' })] },
  reload: { mechanism: 'full, reload', plugins: (model) => [refReload({ model })] },
  'reload from disk': {
    mechanism: 'full, reload from disk',
    plugins: (model) => [refReload({ model, offload: 'disk' })],
  },
  lora: { mechanism: 'LoRA, adapters off', plugins: () => [lora('adapters-off')] },
  'lora, base in bf16': {
    mechanism: 'LoRA, adapters off, base in bf16',
    plugins: () => [lora('adapters-off'), packedBase()],
  },
  'lora, snapshot': { mechanism: 'LoRA, adapter snapshot', plugins: () => [lora('adapter-snapshot')] },
  'ref-cache': {
    mechanism: 'full, cached',
    plugins: () => [refCache({ directory: mkdtempSync(`${tmpdir()}/mooring-`) })],
  },
  cached: { mechanism: 'full, cached', plugins: cached },
};
