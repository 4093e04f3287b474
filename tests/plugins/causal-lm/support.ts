import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  createTrainer,
  Driver,
  Engine,
  Generator,
  Model,
  openSafetensors,
  ParameterStore,
  type Pass,
  type Rows,
  rowsOf,
} from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';

/** Decoders of which transformers' figures are known, with the weights they were saved with. */
export const fixtureNames = [
  'gpt2',
  'llama',
  'llama-linear',
  'llama-bf16-sharded',
  'mistral',
  'qwen2',
  'qwen2-window',
  'qwen3',
] as const;

/** What transformers computed: tensors by name, and the figures of expected.json. */
export async function readExpected(folder: string) {
  const source = await openSafetensors(`${folder}/expected.safetensors`);
  const tensors: Record<string, Float32Array | Int32Array> = {};
  for (const name of source.entries.keys()) tensors[name] = await source.readTensor(name);
  const [batch = 0, time = 0] = source.entries.get('input_ids')?.shape ?? [];
  await source.close();
  return { batch, time, tensors };
}

/** The figures of a fixture's expected.json. */
export function readFigures(folder: string) {
  return JSON.parse(readFileSync(`${folder}/expected.json`, 'utf8')) as {
    nll_mean: number;
    grad_norms: Record<string, number>;
    greedy_from_first_6_tokens: number[];
  };
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/models/${name}`, import.meta.url));
}

/** A copy of a fixture with a tokenizer, whose config drops out at every place that its family has. */
export function dropping(name: string): string {
  const folder = path.join(mkdtempSync(path.join(tmpdir(), 'mooring-dropout-')), name);
  cpSync(fixture(name), folder, { recursive: true });
  cpSync(path.resolve(fixture(name), '../../trl/tokenizer'), folder, { recursive: true });
  const file = path.join(folder, 'config.json');
  const rates = { attn_pdrop: 0.2, resid_pdrop: 0.2, embd_pdrop: 0.2, attention_dropout: 0.3 };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...rates }));
  return folder;
}

const uses = { model: Model, store: ParameterStore, driver: Driver, generator: Generator, engine: Engine } as const;

/** What a test uses of an opened model. */
export interface Opened {
  readonly model: Model;
  readonly store: ParameterStore;
  readonly driver: Driver;
  readonly generator: Generator;
  readonly engine: Engine;
}

/** Opens a folder on an engine, without training, and hands the services to `body`. */
export function withModel<Result>(
  folder: string,
  engine: Engine['name'],
  body: (opened: Opened) => Promise<Result>,
  options: Parameters<typeof causalLm>[0] = {},
): Promise<Result> {
  return createTrainer({ model: folder, train: { engine } }).use(causalLm(options)).withServices(uses, body);
}

/** Rows of a fixture: `suffix` is empty for right padding, `_left` for left. */
export function rowsFrom(expected: Awaited<ReturnType<typeof readExpected>>, suffix = ''): Rows {
  const { batch, time, tensors } = expected;
  const ids = tensors[`input_ids${suffix}`] as Int32Array;
  const mask = tensors[`attention_mask${suffix}`] as Int32Array;
  return rowsOf({ batch, time, ids, mask });
}

/** Rows whose every position is scored, to see all logits. */
export function everyPosition(rows: Rows): Rows {
  const source = Int32Array.from(rows.ids, (_, at) => at);
  const zeros = source.map(() => 0);
  return { ...rows, targets: { source, label: zeros, row: zeros, position: zeros } };
}

export function passOf(rows: Rows, outputs: Pass['outputs'], gradient = false): Pass {
  return { key: 'policy', rows, view: 'policy', gradient, outputs };
}
