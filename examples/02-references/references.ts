import path from 'node:path';
import type { Plugin } from 'mooring';
import { peftLora } from 'mooring/plugins/peft-lora';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';

/** A way to have the reference: what it is, and the plugins that make it. */
export interface ReferenceExample {
  readonly what: string;
  /** Adapters take larger steps than whole weights. */
  readonly learningRate: number;
  plugins(folders: { readonly model: string; readonly runs: string }): Plugin[];
}

const lora = { r: 16, alpha: 32, targetModules: 'all-linear' } as const;
const [ofWeights, ofAdapters] = [1e-4, 5e-4];

/** Every reference, by the name of its run. One that goes on from another's output stands after it. */
export const references: Readonly<Record<string, ReferenceExample>> = {
  clone: {
    what: 'a frozen snapshot of the weights',
    learningRate: ofWeights,
    plugins: () => [refClone()],
  },
  'moved-clone': {
    what: 'a snapshot that moves toward the policy every 4 steps',
    learningRate: ofWeights,
    plugins: () => [refClone(), syncRefModel({ everySteps: 4, mixupAlpha: 0.6 })],
  },
  reload: {
    what: 'another copy of the folder, in memory',
    learningRate: ofWeights,
    plugins: ({ model }) => [refReload({ model })],
  },
  'reload-from-disk': {
    what: 'read from disk, block by block',
    learningRate: ofWeights,
    plugins: ({ model }) => [refReload({ model, offload: 'disk' })],
  },
  cached: {
    what: 'log-probabilities known before the first step',
    learningRate: ofWeights,
    plugins: () => [refClone(), refCache()],
  },
  'adapters-off': {
    what: 'LoRA, its base with the adapters off',
    learningRate: ofAdapters,
    plugins: () => [peftLora(lora)],
  },
  'adapter-snapshot': {
    what: 'LoRA on the adapter that the run before trained, frozen as it was',
    learningRate: ofAdapters,
    plugins: ({ runs }) => [peftLora({ adapter: path.join(runs, 'adapters-off', 'adapter') })],
  },
};
