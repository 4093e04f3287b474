import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { createTrainer, definePlugin, Engine, type Plugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { checkpoint } from 'mooring/plugins/checkpoint';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refCache } from 'mooring/plugins/ref-cache';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { syncRefModel } from 'mooring/plugins/sync-ref-model';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { runPluginCommand } from '../../core/cli/plugin-command.ts';
import type { Cell } from './cells.ts';

/** What was seen after a step: the loss, and the tensors alive. */
export interface Seen {
  readonly loss: number;
  readonly tensors: number;
}

/** What the cells read: the base model, an adapter that was trained on it, and the two merged into one model. */
export interface Folders {
  /** Where the runs of cells go. */
  readonly home: string;
  readonly base: string;
  readonly adapter: string;
  readonly merged: string;
}

const fixtures = path.resolve(import.meta.dirname, '../fixtures');
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Makes the folders, in a folder that the caller removes. */
export async function makeFolders(home: string): Promise<Folders> {
  const base = path.join(home, 'base');
  const [adapter, merged] = [path.join(fixtures, 'trl/lora_trained'), path.join(home, 'merged')];
  mkdirSync(base);
  cpSync(path.join(fixtures, 'models/qwen2'), base, { recursive: true });
  cpSync(path.join(fixtures, 'trl/tokenizer'), base, { recursive: true });
  const terminal = { out() {}, err() {} };
  await runPluginCommand(
    'peft-lora',
    'adapter merge',
    { model: base, adapter, output: merged },
    { isDebug: false, terminal },
  );
  return { home, base, adapter, merged };
}

/** Trains six steps as the cell says; resumed, in two runs, of which the second goes on from the first's checkpoint. */
export async function runCell(cell: Cell, folders: Folders, seen: Seen[] = []): Promise<readonly Seen[]> {
  const output = mkdtempSync(path.join(folders.home, 'cell-'));
  const run = (isResumed: boolean, lastStep: number) =>
    createTrainer({ model: folders.base, data: path.join(fixtures, 'trl/pairs.jsonl'), output, train }, { log: silent })
      .use(causalLm(), tokenizer(), preferenceData(), dpo(), ...policyOf(cell, folders), ...referenceOf(cell, folders))
      .use(checkpoint({ everySteps: 3 }), watch({ seen, lastStep }))
      .train({ resume: isResumed });
  if (cell.resume === 'yes') await run(false, 3);
  await run(cell.resume === 'yes', 6);
  return seen;
}

const train = { steps: 6, batchSize: 2, learningRate: 1e-3, schedule: 'linear', compile: 'off' } as const;

function policyOf({ policy, reference }: Cell, { adapter }: Folders): Plugin[] {
  if (policy === 'full') return [];
  const isOwn = reference === 'adapters-off' || reference === 'adapter-snapshot';
  const asked = isOwn ? reference : reference === 'cached' ? 'auto' : 'none';
  const layers = { r: 4, alpha: 8, targetModules: 'all-linear' };
  return [peftLora({ ...(policy === 'LoRA' ? layers : { adapter }), reference: asked })];
}

function referenceOf({ policy, reference, sync }: Cell, { base, merged }: Folders): Plugin[] {
  const made: Record<Cell['reference'], () => Plugin[]> = {
    clone: () => [refClone()],
    'adapters-off': () => [],
    'adapter-snapshot': () => [],
    reload: () => [refReload({ model: policy === 'LoRA on a trained adapter' ? merged : base, offload: 'disk' })],
    cached: () => [refCache()],
  };
  const mixupAlpha = sync === 'hard' ? 1 : 0.6;
  return [...made[reference](), ...(sync === 'off' ? [] : [syncRefModel({ everySteps: 2, mixupAlpha })])];
}

/** Notes each step, and stops after one, as a signal would. */
function watch({ seen, lastStep }: { seen: Seen[]; lastStep: number }): Plugin {
  const plugin = definePlugin({
    name: 'watch',
    apiVersion: 1,
    isObserver: true,
    uses: { engine: Engine },
    apply({ hooks, services }) {
      let stop: ((reason: string) => void) | undefined;
      hooks.trainBegin.tap(({ run }) => {
        stop = (reason) => run.requestStop(reason);
      });
      hooks.stepEnd.tap(({ step, record }) => {
        seen.push({ loss: record.loss ?? Number.NaN, tensors: services.engine.memory().tensors });
        if (step.index === lastStep) stop?.('half of the cell is done');
      });
    },
  });
  return plugin();
}
