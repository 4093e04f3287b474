import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from '@jest/globals';
import { createTrainer, definePlugin, Engine, type Log, type Plugin, type RunInput, type StepRecord } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { tokenizer } from 'mooring/plugins/tokenizer';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');

/** A copy of a fixture's model with the tokenizer that all of vocabulary 384 have; it goes when the tests of the file are done. */
export function modelFolder(name: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mooring-reload-'));
  cpSync(path.join(fixtures, 'models', name), folder, { recursive: true });
  cpSync(path.join(fixtures, 'trl/tokenizer'), folder, { recursive: true });
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What a run of DPO showed. */
export interface Observed {
  readonly records: readonly StepRecord[];
  readonly logged: { readonly level: string; readonly details: object; readonly message: string }[];
  /** After each step. */
  readonly memory: { readonly tensors: number; readonly bytes: number }[];
}

/** Trains a model by DPO against the reference that a plugin provides, on the pairs that TRL's traces were made of. */
export async function trainAgainst(
  reference: Plugin,
  input: { readonly model: string; readonly train?: RunInput['train']; readonly plugins?: readonly Plugin[] },
): Promise<Observed> {
  const records: StepRecord[] = [];
  const logged: Observed['logged'] = [];
  const memory: Observed['memory'] = [];
  const observer = definePlugin({
    name: 'observer',
    apiVersion: 1,
    uses: { engine: Engine },
    apply({ hooks, services }) {
      hooks.stepEnd.tap(({ record }) => {
        records.push(record);
        const { tensors, bytes } = services.engine.memory();
        memory.push({ tensors, bytes });
      });
    },
  });
  const at = (level: string) => (details: object, message: string) => void logged.push({ level, details, message });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const train = {
    steps: 3,
    batchSize: 4,
    learningRate: 1e-3,
    schedule: 'constant',
    maxLength: 96,
    ...input.train,
  } as const;
  const data = path.join(fixtures, 'trl/pairs.jsonl');
  const trainer = createTrainer({ model: input.model, data, train: { shuffle: false, ...train } }, { log });
  const plugins = [causalLm(), tokenizer(), preferenceData(), dpo(), reference, observer(), ...(input.plugins ?? [])];
  await trainer.use(...plugins).train();
  return { records, logged, memory };
}
