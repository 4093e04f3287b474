import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { createTrainer, definePlugin, type Log, type PreferenceBatch, type StepRecord } from 'mooring';
import { readInstalled } from '../../../core/engine/install/cache.ts';
import { causalLm } from '../../../plugins/causal-lm/index.ts';
import { dpo } from '../../../plugins/dpo/index.ts';
import { readAdapter } from '../../../plugins/peft-lora/folder/adapter.ts';
import { peftLora } from '../../../plugins/peft-lora/index.ts';
import { preferenceData } from '../../../plugins/preference-data/index.ts';
import { refCache } from '../../../plugins/ref-cache/index.ts';
import { refClone } from '../../../plugins/ref-clone/index.ts';
import { syncRefModel } from '../../../plugins/sync-ref-model/index.ts';
import { tokenizer } from '../../../plugins/tokenizer/index.ts';

const fixtures = join(import.meta.dirname, '../../fixtures');

/** A model with its tokenizer, as one Hugging Face folder. */
const model = mkdtempSync(join(tmpdir(), 'mooring-traces-'));
cpSync(join(fixtures, 'models/qwen2'), model, { recursive: true });
cpSync(join(fixtures, 'trl/tokenizer'), model, { recursive: true });
afterAll(() => rmSync(model, { recursive: true }));

/** What TRL was told, under its names. */
interface Config {
  per_device_train_batch_size: number;
  gradient_accumulation_steps?: number;
  learning_rate: number;
  lr_scheduler_type: 'constant' | 'cosine';
  warmup_steps: number;
  max_length: number;
  max_grad_norm: number;
  weight_decay: number;
  beta: number;
  loss_type?: NonNullable<Parameters<typeof dpo>[0]>['lossType'];
  loss_weights?: number[];
  label_smoothing?: number;
  f_divergence_type?: 'forward_kl' | 'js_divergence' | 'alpha_divergence';
  f_alpha_divergence_coef?: number;
  use_weighting?: boolean;
  ld_alpha?: number;
  precompute_ref_log_probs?: boolean;
  ref_model_sync_steps?: number;
  ref_model_mixup_alpha?: number;
}
type Traces = Record<string, { config: Config; logs: StepRecord[] }>;
const traces: Traces = JSON.parse(readFileSync(join(fixtures, 'trl/traces.json'), 'utf8'));
const names = Object.keys(traces);
const onNative = readInstalled() === undefined ? [] : names;
const engines = [
  { engine: 'native', compile: 'off', recompute: 'none', runs: onNative },
  { engine: 'native', compile: 'on', recompute: 'none', runs: onNative },
  { engine: 'native', compile: 'on', recompute: 'block', runs: onNative.slice(0, 2) },
  {
    engine: 'wasm',
    compile: 'off',
    recompute: 'none',
    runs: ['sigmoid', 'ipo', 'accumulate', 'cosine_warmup', 'lora'],
  },
] as const;

// TRL averages micro-batches with equal weight, and these are means over tokens: only one large batch gives the same.
const meansOverTokens = ['entropy', 'logits/chosen', 'logits/rejected', 'mean_token_accuracy'];

describe.each(engines.filter(({ runs }) => runs.length > 0))(
  'on $engine, compile $compile, recompute $recompute, training gives what TRL logged',
  ({ runs, ...mode }) => {
    it.each([...runs.map((name) => [name, 'auto'] as const), ['sigmoid', false] as const])(
      'for %s, prompts shared: %s',
      async (name, sharePrompts) => {
        const { config, logs } = traces[name] as Traces[string];
        const isLora = name === 'lora';
        const { records, written } = await train(config, mode, sharePrompts, isLora);
        expect(records).toHaveLength(logs.length);
        const deviations = logs.flatMap((expected, index) => {
          const record = records[index] as StepRecord;
          const compared = Object.keys(expected).filter(
            (figure) => !(name === 'accumulate' && meansOverTokens.includes(figure)) && figure !== 'num_tokens',
          );
          return compared
            .filter((figure) => !isWithin(figure, record[figure], expected[figure] as number))
            .map((figure) => `step ${index + 1} ${figure}: ${record[figure]}, TRL ${expected[figure]}`);
        });
        expect(deviations).toEqual([]);
        const tokens = records.reduce((sum, record) => sum + (record.num_tokens ?? 0), 0);
        expect(tokens).toBe(logs.at(-1)?.num_tokens);
        if (isLora)
          expect(await distanceBetween(written[0] as string, join(fixtures, 'trl/lora_trained'))).toBeLessThan(1e-3);
      },
    );
  },
);

/** The tolerances of the fixtures' README. */
function isWithin(figure: string, value: number | undefined, expected: number): boolean {
  const error = Math.abs((value ?? Number.NaN) - expected);
  // TensorFlow takes subnormal numbers for 0, torch does not: a norm whose square is one (forward_kl, step 3) is 0.
  if (figure === 'grad_norm') return error <= Math.max(5e-3 * Math.abs(expected), Math.sqrt(2 ** -126));
  return error <= Math.max(1e-3 * Math.abs(expected), 2e-4);
}

type Mode = Pick<(typeof engines)[number], 'engine' | 'compile' | 'recompute'>;

async function train(config: Config, mode: Mode, sharePrompts: 'auto' | false, isLora: boolean) {
  const records: StepRecord[] = [];
  const forks: boolean[] = [];
  const recorder = definePlugin({
    name: 'recorder',
    apiVersion: 1,
    apply({ hooks }) {
      hooks.stepBegin.tap(({ microBatches }) => {
        forks.push(...microBatches.map((batch) => (batch as PreferenceBatch).rows.fork !== undefined));
      });
      hooks.stepEnd.tap(({ record }) => void records.push(record));
    },
  });
  const trainer = createTrainer(
    {
      model,
      ...(isLora ? { output: mkdtempSync(join(model, 'run-')) } : {}),
      data: join(fixtures, 'trl/pairs.jsonl'),
      train: {
        ...mode,
        steps: 6,
        shuffle: false,
        batchSize: config.per_device_train_batch_size,
        gradientAccumulationSteps: config.gradient_accumulation_steps,
        learningRate: config.learning_rate,
        schedule: config.lr_scheduler_type,
        warmupSteps: config.warmup_steps,
        maxLength: config.max_length,
        maxGradNorm: config.max_grad_norm,
        weightDecay: config.weight_decay,
      },
    },
    { log: silent },
  );
  const objective = dpo({
    beta: config.beta,
    lossType: config.loss_type,
    lossWeights: config.loss_weights,
    labelSmoothing: config.label_smoothing,
    fDivergenceType: config.f_divergence_type,
    fAlphaDivergenceCoef: config.f_alpha_divergence_coef,
    useWeighting: config.use_weighting,
    ldAlpha: config.ld_alpha,
  });
  const { ref_model_sync_steps: everySteps, ref_model_mixup_alpha: mixupAlpha } = config;
  const sync = everySteps === undefined ? [] : [syncRefModel({ everySteps, mixupAlpha })];
  const whole = () => (config.precompute_ref_log_probs ? refCache({ directory: cache() }) : refClone());
  const reference = isLora ? peftLora({ adapter: join(fixtures, 'trl/lora_init') }) : whole();
  const { written } = await trainer
    .use(causalLm(), tokenizer(), preferenceData({ sharePrompts }), objective, reference, ...sync, recorder())
    .train();
  expect(new Set(forks)).toEqual(new Set([sharePrompts === 'auto']));
  return { records, written };
}

/** The largest difference between two adapters of the same keys. */
async function distanceBetween(folder: string, other: string): Promise<number> {
  const [ours, theirs] = await Promise.all([readAdapter(folder), readAdapter(other)]);
  expect([...ours.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort());
  const distances = [...ours.tensors].map(([key, { values }]) => {
    const wanted = theirs.tensors.get(key)?.values ?? [];
    return values.reduce((most, value, at) => Math.max(most, Math.abs(value - (wanted[at] as number))), 0);
  });
  return Math.max(...distances);
}

/** A folder for log-probabilities that goes with the model's. */
function cache(): string {
  return mkdtempSync(join(model, 'cache-'));
}

const drop = () => {};
const silent: Log = { debug: drop, info: drop, warn: drop, error: drop };
