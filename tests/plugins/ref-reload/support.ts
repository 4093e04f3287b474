import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from '@jest/globals';
import {
  createTrainer,
  definePlugin,
  Engine,
  type LedgerEntry,
  type Log,
  Model,
  ParameterStore,
  type Plugin,
  type RunInput,
  type StepRecord,
  writeSafetensors,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { preferenceData } from 'mooring/plugins/preference-data';
import { tokenizer } from 'mooring/plugins/tokenizer';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const root = mkdtempSync(path.join(tmpdir(), 'mooring-reload-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A copy of a fixture's model with the tokenizer that all of vocabulary 384 have; it goes when the tests of the file are done. */
export function modelFolder(name: string): string {
  const folder = mkdtempSync(path.join(root, `${name}-`));
  cpSync(path.join(fixtures, 'models', name), folder, { recursive: true });
  cpSync(path.join(fixtures, 'trl/tokenizer'), folder, { recursive: true });
  return folder;
}

/** A folder with a random model of the same family and tokenizer, and of another size. */
export async function smallerModel(name: string, sizes: Readonly<Record<string, number>>): Promise<string> {
  const folder = modelFolder(name);
  const file = path.join(folder, 'config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...sizes }));
  await createTrainer({ model: folder, train: { engine: 'cpu' } }, { log: silent })
    .use(causalLm({ initialize: 'random' }))
    .withServices({ model: Model, store: ParameterStore }, async ({ model, store }) => {
      const tensors = model.parameters.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const }));
      await writeSafetensors(path.join(folder, 'model.safetensors'), tensors, async (tensor) => {
        const value = store.read(tensor, 'policy');
        return (await value.data().finally(() => value.dispose())) as Float32Array;
      });
    });
  return folder;
}

/** What a run of DPO showed. */
export interface Observed {
  readonly records: readonly StepRecord[];
  readonly logged: { readonly level: string; readonly details: object; readonly message: string }[];
  readonly ledger: readonly LedgerEntry[];
  /** After each step. */
  readonly memory: { readonly tensors: number; readonly bytes: number }[];
}

/** Trains a model by DPO against the reference that a plugin provides, on the pairs that TRL's traces were made of. */
export async function trainAgainst(
  reference: Plugin,
  input: {
    readonly model: string;
    readonly train?: RunInput['train'];
    readonly plugins?: readonly Plugin[];
    readonly folder?: string | undefined;
  },
): Promise<Observed> {
  const records: StepRecord[] = [];
  const logged: Observed['logged'] = [];
  const memory: Observed['memory'] = [];
  let ledger: Observed['ledger'] = [];
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
      hooks.trainEnd.tap(({ run }) => {
        ledger = run.ledger();
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
  const trainer = createTrainer(
    { model: input.model, folder: input.folder, data, train: { shuffle: false, ...train } },
    { log },
  );
  const plugins = [causalLm(), tokenizer(), preferenceData(), dpo(), reference, observer(), ...(input.plugins ?? [])];
  await trainer.use(...plugins).train();
  return { records, logged, ledger, memory };
}

const drop = () => {};
const silent: Log = { debug: drop, info: drop, warn: drop, error: drop };
