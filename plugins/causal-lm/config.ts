import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { activations } from './activations.ts';
import { failure } from './errors.ts';
import { type Family, families, type Presence, type SettingName } from './families.ts';
import { normalizeRope, type Rope, ropeSchema } from './rope.ts';

/** A checked config.json: what the decoder computes, in one vocabulary for all families. */
export interface DecoderConfig {
  readonly familyName: string;
  readonly family: Family;
  readonly vocabularySize: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly feedForward: number;
  readonly activation: string;
  readonly normEpsilon: number;
  /** How many positions there are weights for, where they are learned. */
  readonly maxPositions: number;
  readonly isTied: boolean;
  readonly initializerRange: number;
  readonly attentionDropout: number;
  readonly residualDropout: number;
  readonly embeddingDropout: number;
  readonly hasProjectionBias: boolean;
  readonly hasAttentionOutputBias: boolean;
  readonly hasFeedForwardBias: boolean;
  /** Absent where positions are learned. */
  readonly rope?: Rope;
  /** What attention scores are multiplied by, for each layer. */
  readonly attentionScales: readonly number[];
  /** How many keys back a layer sees, itself included; `undefined` for all. For each layer. */
  readonly windows: readonly (number | undefined)[];
  /** config.json as it was read. */
  readonly raw: Readonly<Record<string, unknown>>;
}

const count = z.int().positive();
const rate = z.number().min(0).lt(1);
const settingsSchema = z.object({
  vocabularySize: count,
  hidden: count,
  layers: count,
  heads: count,
  keyValueHeads: count.nullable(),
  headSize: count.nullable(),
  feedForward: count.nullable(),
  activation: z.string(),
  normEpsilon: z.number().positive(),
  maxPositions: count,
  isTied: z.boolean(),
  initializerRange: z.number().positive(),
  attentionDropout: rate,
  residualDropout: rate,
  embeddingDropout: rate,
  window: count.nullable(),
} satisfies Record<SettingName, z.ZodType>);

/**
 * Reads and checks a model folder's config.json.
 * Throws `MODEL_CONFIG_MISSING`, `MODEL_CONFIG_MALFORMED`, `MODEL_CONFIG_INVALID`, `MODEL_FAMILY_UNKNOWN`,
 * `MODEL_ACTIVATION_UNKNOWN` and `MODEL_SETTING_UNSUPPORTED`.
 */
export function readConfig(folder: string): DecoderConfig {
  const file = join(folder, 'config.json');
  const raw = readJsonObject(file);
  const familyName = String(raw.model_type);
  const family = Object.hasOwn(families, familyName) ? families[familyName] : undefined;
  if (family === undefined) {
    throw failure('MODEL_FAMILY_UNKNOWN', { file, family: familyName, known: Object.keys(families).join(', ') });
  }
  refuseUnsupported(file, raw);

  const renamed = Object.entries(family.keys).map(([name, key]) => [
    name,
    raw[key] === undefined ? family.defaults[name as SettingName] : raw[key],
  ]);
  const parsed = settingsSchema.safeParse(Object.fromEntries(renamed));
  if (!parsed.success) throw invalid(file, parsed.error, (path) => family.keys[path[0] as SettingName]);
  const { window, ...settings } = parsed.data;
  const { hidden, heads, layers, activation } = settings;
  if (!Object.hasOwn(activations, activation)) {
    throw failure('MODEL_ACTIVATION_UNKNOWN', { file, activation, known: Object.keys(activations).join(', ') });
  }
  const keyValueHeads = settings.keyValueHeads ?? heads;
  const headSize = settings.headSize ?? hidden / heads;
  refuseUneven(file, family, { hidden, heads, keyValueHeads, headSize });

  const has = (presence: Presence, key: string) =>
    presence === 'configured' ? raw[key] === true : presence === 'always';
  return {
    ...settings,
    familyName,
    family,
    keyValueHeads,
    headSize,
    feedForward: settings.feedForward ?? 4 * hidden,
    hasProjectionBias: has(family.projectionBias, 'attention_bias'),
    hasAttentionOutputBias: has(family.attentionOutputBias, 'attention_bias'),
    hasFeedForwardBias: has(family.feedForwardBias, 'mlp_bias'),
    ...(family.positions === 'rotary' ? { rope: readRope(file, raw) } : {}),
    attentionScales: Array.from({ length: layers }, (_, layer) => attentionScale(raw, headSize, layer)),
    windows: Array.from(
      { length: layers },
      (_, layer) => (isWindowed(family, raw, layer) ? window : null) ?? undefined,
    ),
    raw,
  };
}

/** Reads a JSON file that must hold an object. Throws `MODEL_CONFIG_MISSING`, `MODEL_CONFIG_MALFORMED`, `MODEL_CONFIG_INVALID`. */
export function readJsonObject(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw failure('MODEL_CONFIG_MISSING', { file, reason: (cause as Error).message }, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw failure('MODEL_CONFIG_MALFORMED', { file, reason: (cause as Error).message }, { cause });
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(value);
  if (!parsed.success) throw invalid(file, parsed.error, () => 'the whole file');
  return parsed.data;
}

function readRope(file: string, raw: Readonly<Record<string, unknown>>): Rope {
  const given = normalizeRope(raw);
  const known = ropeSchema.options.map((option) => option.shape.type.value);
  if (!known.some((type) => type === given.type)) {
    const supported = `a rope type of ${known.join(', ')}`;
    throw failure('MODEL_SETTING_UNSUPPORTED', { file, key: 'rope_type', value: String(given.type), supported });
  }
  const parsed = ropeSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const section = raw.rope_parameters === undefined ? 'rope_scaling' : 'rope_parameters';
  throw invalid(file, parsed.error, (path) => `${section}.${path.join('.')}`);
}

/** Settings that would change the figures, with the one value for which they do not. */
const fixedSettings: readonly (readonly [key: string, value: unknown, supported: string])[] = [
  ['add_cross_attention', false, 'no cross attention'],
  ['partial_rotary_factor', 1, 'rotary positions on whole heads'],
  ['quantization_config', null, 'weights in float32, bfloat16 or float16'],
];

function refuseUnsupported(file: string, raw: Readonly<Record<string, unknown>>): void {
  const nested = (raw.rope_parameters ?? raw.rope_scaling ?? {}) as Record<string, unknown>;
  for (const [key, value, supported] of fixedSettings) {
    const given = raw[key] ?? nested[key] ?? value;
    if (given === value) continue;
    throw failure('MODEL_SETTING_UNSUPPORTED', { file, key, value: JSON.stringify(given), supported });
  }
}

function refuseUneven(
  file: string,
  family: Family,
  { hidden, heads, keyValueHeads, headSize }: Pick<DecoderConfig, 'hidden' | 'heads' | 'keyValueHeads' | 'headSize'>,
): void {
  const refuse = (name: SettingName, problem: string) => {
    throw failure('MODEL_CONFIG_INVALID', { file, key: family.keys[name], problem });
  };
  if (!Number.isInteger(headSize)) refuse('hidden', `is ${hidden}, which ${heads} heads do not divide`);
  if (heads % keyValueHeads !== 0) refuse('keyValueHeads', `is ${keyValueHeads}, which does not divide ${heads} heads`);
  if (family.positions === 'rotary' && headSize % 2 !== 0)
    refuse('headSize', `is ${headSize}, and rotary heads are even`);
}

function attentionScale(raw: Readonly<Record<string, unknown>>, headSize: number, layer: number): number {
  const scale = raw.scale_attn_weights === false ? 1 : 1 / Math.sqrt(headSize);
  return raw.scale_attn_by_inverse_layer_idx === true ? scale / (layer + 1) : scale;
}

function isWindowed(family: Family, raw: Readonly<Record<string, unknown>>, layer: number): boolean {
  if (family.slidingWindow !== 'configured') return family.slidingWindow === 'always';
  if (raw.use_sliding_window !== true) return false;
  if (Array.isArray(raw.layer_types)) return raw.layer_types[layer] === 'sliding_attention';
  return layer >= (typeof raw.max_window_layers === 'number' ? raw.max_window_layers : 28);
}

function invalid(file: string, error: z.ZodError, keyOf: (path: PropertyKey[]) => string) {
  const issue = error.issues[0] as z.core.$ZodIssue;
  const problem = issue.message.includes('received undefined') ? 'is missing' : `is not right: ${issue.message}`;
  return failure('MODEL_CONFIG_INVALID', { file, key: keyOf(issue.path), problem });
}
