import { cpSync, mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { Collectives, createTrainer, definePlugin, Engine, type Plugin } from 'mooring';
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
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks } from 'mooring/testing';
import { runPluginCommand } from '../../core/cli/plugin-command.ts';
import { type Cell, runsOf } from './cells.ts';

/** What a rank saw after a step: the loss, and the tensors alive, of all ranks. */
export interface Seen {
  readonly step: number;
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

/**
 * Trains six steps as the cell says; resumed, in two runs, of which the second goes on from the first's checkpoint.
 * Returns what each rank saw.
 */
export async function runCell(cell: Cell, folders: Folders, seen: Seen[][] = []): Promise<readonly Seen[][]> {
  const output = mkdtempSync(path.join(folders.home, 'cell-'));
  const data = path.join(fixtures, 'trl/pairs.jsonl');
  const runs = runsOf(cell);
  for (const [at, ranks] of runs.entries()) {
    const isLast = at === runs.length - 1;
    await inRanks(ranks, async (collectives) => {
      seen[collectives.rank] ??= [];
      await createTrainer({ model: folders.base, data, output, train }, { log: silent })
        .use(
          causalLm(),
          tokenizer(),
          preferenceData(),
          dpo(),
          ...policyOf(cell, folders),
          ...referenceOf(cell, folders),
        )
        .use(checkpoint({ everySteps: 3 }), ...ranksOf(collectives))
        .use(watch({ seen: seen[collectives.rank] as Seen[], lastStep: isLast ? 6 : 3 }))
        .train({ resume: at > 0 });
    });
  }
  return seen;
}

// wasm is the quickest on so small a model: cpu takes minutes, native half as long again
const train = {
  engine: 'wasm',
  steps: 6,
  batchSize: 2,
  learningRate: 1e-3,
  schedule: 'linear',
  compile: 'off',
} as const;

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

/** Alone, the run is not sharded; vectors are whole on every rank, all else is split. */
function ranksOf(collectives: Collectives): Plugin[] {
  const { ranks } = collectives;
  return ranks === 1 ? [] : [zero3Shard({ ranks, persistenceThreshold: 64 }), givenRanks(collectives, 'zero3-shard')];
}

/** Notes each step, and stops after one, as a signal would. */
function watch({ seen, lastStep }: { seen: Seen[]; lastStep: number }): Plugin {
  const plugin = definePlugin({
    name: 'watch',
    apiVersion: 1,
    preservesTraining: true,
    uses: { engine: Engine, collectives: Collectives },
    apply({ hooks, services }) {
      let stop: ((reason: string) => void) | undefined;
      hooks.trainBegin.tap(({ run }) => {
        stop = (reason) => run.requestStop(reason);
      });
      hooks.stepEnd.tap(async ({ step, record }) => {
        const { engine, collectives } = services;
        await collectives.barrier('every rank to end the step');
        seen.push({ step: step.index, loss: record.loss ?? Number.NaN, tensors: engine.memory().tensors });
        await collectives.barrier('every rank to count its tensors');
        if (step.index === lastStep) stop?.('half of the cell is done');
      });
    },
  });
  return plugin();
}
