import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { createTrainer, Driver, definePlugin, type Log, type Rows, type RunInput, type StepRecord } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { everyPosition, fixture, passOf, readExpected, rowsFrom } from '../causal-lm/support.ts';

export type LoraOptions = NonNullable<Parameters<typeof peftLora>[0]>;

const fixtures = join(import.meta.dirname, '../../fixtures');
export const workspace = mkdtempSync(join(tmpdir(), 'mooring-lora-'));

/** What adapters may be, by a clause. */
export const adapters: Record<string, [model: string, options: LoraOptions]> = {
  "of PEFT's defaults": ['qwen2', {}],
  'of every linear, with all biases': [
    'qwen2',
    { targetModules: 'all-linear', bias: 'all', initialization: 'gaussian' },
  ],
  'of ranks by pattern, rank-stabilised': [
    'qwen3',
    { r: 4, rslora: true, rankPattern: { v_proj: 2 }, alphaPattern: { q_proj: 32 } },
  ],
  'with DoRA': ['qwen2', { dora: true, targetModules: ['q_proj', 'o_proj'], bias: 'lora_only' }],
  'with DoRA on transposed weights': ['gpt2', { dora: true }],
  'of an embedding and the head': ['llama', { targetModules: ['embed_tokens', 'lm_head'] }],
  'of a tied head': ['qwen2', { targetModules: ['lm_head', 'q_proj'] }],
  'with a tied head saved whole': ['qwen2', { modulesToSave: ['lm_head', 'norm'] }],
  'started by PiSSA': ['qwen2', { initialization: 'pissa', targetModules: ['q_proj', 'down_proj'], r: 4 }],
  'started by PiSSA on transposed weights': ['gpt2', { initialization: 'pissa', r: 4, rslora: true }],
};

/** A copy of a fixture with a tokenizer. */
export function withTokenizer(name: string): string {
  const folder = join(mkdtempSync(join(workspace, 'model-')), name);
  cpSync(fixture(name), folder, { recursive: true });
  cpSync(join(fixtures, 'trl/tokenizer'), folder, { recursive: true });
  return folder;
}

/** What a run left. */
export interface Trained {
  readonly records: readonly StepRecord[];
  /** After the last step, of the fixture's rows. */
  readonly logits: Float32Array;
  /** Names of blocks that a backward pass went through, in a micro-step. */
  readonly backward: readonly string[];
  readonly adapter: string;
  readonly messages: readonly string[];
}

/** Two steps of DPO with LoRA on a fixture; with `layers`, on a random model of so many. */
export async function train(
  name: string,
  options: LoraOptions,
  settings: RunInput['train'] = {},
  layers?: number,
): Promise<Trained> {
  const rows = await rowsOfFixture(name);
  const records: StepRecord[] = [];
  const messages: string[] = [];
  const backward: string[] = [];
  let logits = new Float32Array();
  const recorder = definePlugin({
    name: 'recorder',
    apiVersion: 1,
    uses: { driver: Driver },
    apply({ hooks, services }) {
      hooks.stepBegin.tap(() => void backward.splice(0));
      hooks.beforeBackward.tap(({ block }) => void backward.push(block.name));
      hooks.stepEnd.tap(({ record }) => void records.push(record));
      hooks.trainEnd.tap(async () => {
        logits = await logitsOf(services.driver, rows);
      });
    },
  });
  const say = (_: object, message: string) => void messages.push(message);
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const model = withTokenizer(name);
  if (layers !== undefined) {
    const file = join(model, 'config.json');
    const config = { ...JSON.parse(readFileSync(file, 'utf8')), num_hidden_layers: layers };
    delete config.layer_types;
    writeFileSync(file, JSON.stringify(config));
  }
  const initialize = layers === undefined ? 'weights' : 'random';
  const run: RunInput = {
    model,
    data: join(fixtures, 'trl/pairs.jsonl'),
    output: mkdtempSync(join(workspace, 'run-')),
    train: {
      engine: 'native',
      compile: 'off',
      steps: 2,
      batchSize: 2,
      learningRate: 1e-2,
      schedule: 'constant',
      shuffle: false,
      ...settings,
    },
  };
  const { written } = await createTrainer(run, { log })
    .use(causalLm({ initialize }), tokenizer(), preferenceData(), dpo(), peftLora(options), recorder())
    .train();
  return { records, logits, backward, adapter: written.join(), messages };
}

/** Every real position of the fixture's rows is scored. */
export async function rowsOfFixture(name: string): Promise<Rows> {
  return everyPosition(rowsFrom(await readExpected(fixture(name))));
}

/** `[batch * time, vocabulary]`. */
export async function logitsOf(driver: Driver, rows: Rows): Promise<Float32Array<ArrayBuffer>> {
  const { scores } = await driver.forward(passOf(rows, ['scores']));
  const values = new Float32Array((await scores?.data()) as Float32Array);
  tf.dispose(scores);
  driver.release();
  return values;
}

/** The largest difference over real positions. */
export function distance(actual: Float32Array, wanted: Float32Array, { mask }: Rows): number {
  const vocabulary = wanted.length / mask.length;
  return wanted.reduce((most, value, at) => {
    const isReal = mask[Math.floor(at / vocabulary)] === 1;
    return isReal ? Math.max(most, Math.abs(value - (actual[at] as number))) : most;
  }, 0);
}
