import { z } from 'zod';
import { failure } from './errors.ts';

/** What an adapter_config.json says, in the names of the plugin's options. */
export interface AdapterConfig {
  /** Rank where no pattern says otherwise. */
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  /** Scales by `alpha / sqrt(r)` instead of `alpha / r`. */
  readonly rslora: boolean;
  readonly dora: boolean;
  /** Names or ends of names, a regular expression for whole names, or `all-linear`: every linear but the head. */
  readonly targetModules: readonly string[] | string;
  readonly excludeModules?: readonly string[] | string | undefined;
  /** Names or regular expressions for ends of names, to ranks; likewise to alphas. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Indices of layers; absent: all. */
  readonly layersToTransform?: readonly number[] | undefined;
  /** What stands before a layer's index, as `layers`; empty: anything. */
  readonly layersPattern: readonly string[];
  /** Ends of names of modules that are trained whole and saved. */
  readonly modulesToSave: readonly string[];
  readonly bias: 'none' | 'all' | 'lora_only';
  /** As PEFT saves it for gpt2; how a weight lies is known from the model. */
  readonly fanInFanOut: boolean;
  /** `true`, `false` (no zeros, for tests), `gaussian`, `pissa` or `pissa_niter_N`. */
  readonly initLoraWeights: boolean | string;
  /** Name or path of the base. */
  readonly base?: string | undefined;
}

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
const count = z.int().positive();
const list = (value: unknown) => (value === null ? undefined : Array.isArray(value) ? value : [value]);

const schema = z.object({
  peft_type: z.literal('LORA'),
  r: count.default(8),
  lora_alpha: z.number().default(8),
  lora_dropout: z.number().min(0).lt(1).default(0),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  target_modules: names,
  exclude_modules: names.nullish(),
  rank_pattern: z.record(z.string(), count).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  layers_to_transform: z.preprocess(list, z.array(z.int().nonnegative()).optional()),
  layers_pattern: z.preprocess(list, z.array(z.string()).optional()),
  modules_to_save: z.array(z.string().min(1)).nullish(),
  bias: z.enum(['none', 'all', 'lora_only']).default('none'),
  fan_in_fan_out: z.boolean().default(false),
  init_lora_weights: z.union([z.boolean(), z.string()]).default(true),
  base_model_name_or_path: z.string().nullish(),
});

/** Keys that say nothing about what is computed. */
const inert = [
  ...['auto_mapping', 'inference_mode', 'megatron_core', 'peft_version', 'qalora_group_size', 'revision'],
  ...['runtime_config', 'task_type'],
];

/**
 * Checks the JSON of an adapter_config.json. A feature that Mooring does not compute, known or not yet invented, is a key
 * with a value other than null, false or nothing, and is refused by its name.
 * Throws ADAPTER_CONFIG_INVALID and ADAPTER_FEATURE_UNSUPPORTED.
 */
export function parseConfig(json: Readonly<Record<string, unknown>>, file: string): AdapterConfig {
  const refuse = (key: string): never => {
    throw failure('ADAPTER_FEATURE_UNSUPPORTED', { file, key, value: JSON.stringify(json[key]) });
  };
  if (typeof json.peft_type === 'string' && json.peft_type !== 'LORA') refuse('peft_type');
  for (const [key, value] of Object.entries(json)) {
    if (!inert.includes(key) && !Object.hasOwn(schema.shape, key) && !isNothing(value)) refuse(key);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw invalid(file, parsed.error.issues[0] as z.core.$ZodIssue);
  const given = parsed.data;
  const init = given.init_lora_weights;
  if (typeof init === 'string' && !/^(gaussian|pissa(_niter_\d+)?)$/.test(init)) refuse('init_lora_weights');
  const layersPattern = given.layers_pattern ?? [];
  const isText = typeof given.target_modules === 'string';
  if (isText && given.layers_to_transform !== undefined) {
    const problem = 'goes with a list of "target_modules", not with a text';
    throw failure('ADAPTER_CONFIG_INVALID', { file, key: 'layers_to_transform', problem });
  }
  if (layersPattern.length > 0 && given.layers_to_transform === undefined) {
    const problem = 'goes with "layers_to_transform", which is missing';
    throw failure('ADAPTER_CONFIG_INVALID', { file, key: 'layers_pattern', problem });
  }
  return {
    r: given.r,
    alpha: given.lora_alpha,
    dropout: given.lora_dropout,
    rslora: given.use_rslora,
    dora: given.use_dora,
    targetModules: given.target_modules,
    excludeModules: given.exclude_modules ?? undefined,
    rankPattern: given.rank_pattern ?? {},
    alphaPattern: given.alpha_pattern ?? {},
    layersToTransform: given.layers_to_transform,
    layersPattern,
    modulesToSave: given.modules_to_save ?? [],
    bias: given.bias,
    fanInFanOut: given.fan_in_fan_out,
    initLoraWeights: init,
    base: given.base_model_name_or_path ?? undefined,
  };
}

/** The adapter_config.json that PEFT 0.21 writes for a config: the same keys, sorted. */
export function formatConfig(config: AdapterConfig): Record<string, unknown> {
  const whole: Record<string, unknown> = {
    ...Object.fromEntries(absentFeatures.map((key) => [key, null])),
    base_model_name_or_path: config.base ?? null,
    bias: config.bias,
    ensure_weight_tying: false,
    exclude_modules: config.excludeModules ?? null,
    fan_in_fan_out: config.fanInFanOut,
    inference_mode: true,
    init_lora_weights: config.initLoraWeights,
    layers_pattern: config.layersPattern.length > 0 ? config.layersPattern : null,
    layers_to_transform: config.layersToTransform ?? null,
    loftq_config: {},
    lora_alpha: config.alpha,
    lora_bias: false,
    lora_dropout: config.dropout,
    megatron_core: 'megatron.core',
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    peft_type: 'LORA',
    peft_version: '0.21.2',
    qalora_group_size: 16,
    r: config.r,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    target_modules: config.targetModules,
    task_type: 'CAUSAL_LM',
    use_dora: config.dora,
    use_qalora: false,
    use_rslora: config.rslora,
  };
  return Object.fromEntries(Object.entries(whole).sort(([one], [other]) => (one < other ? -1 : 1)));
}

const absentFeatures = [
  ...['alora_invocation_tokens', 'arrow_config', 'auto_mapping', 'corda_config', 'eva_config', 'kasa_config'],
  ...['layer_replication', 'lora_ga_config', 'megatron_config', 'monteclora_config', 'revision', 'target_parameters'],
  ...['trainable_token_indices', 'use_bdlora', 'velora_config'],
];

function isNothing(value: unknown): boolean {
  if (value === null || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function invalid(file: string, issue: z.core.$ZodIssue) {
  const problem = issue.message.includes('received undefined') ? 'is missing' : `is not right: ${issue.message}`;
  return failure('ADAPTER_CONFIG_INVALID', { file, key: issue.path.join('.'), problem });
}
