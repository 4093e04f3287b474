import type { Block, Model, ModuleSpec } from 'mooring';
import type { AdapterConfig } from './config.ts';
import { failure } from './errors.ts';
import { isSavedWhole, isTargeted, layerOf, patternValue, pythonRegExp } from './match-names.ts';
import { nearestNames } from './nearest-names.ts';

/** A module that carries LoRA: `weight + scaling * B A`, with A `[r, inputs]` and B `[outputs, r]`. */
export interface LoraTarget {
  /** Name of its block, and its own name there. */
  readonly block: string;
  readonly module: string;
  /** Its name in the whole model: `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly kind: ModuleSpec['kind'];
  readonly layout: ModuleSpec['layout'];
  /** The parameter that holds its weight; that of a tied head is the embedding's. */
  readonly weight: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly r: number;
  readonly alpha: number;
  readonly scaling: number;
}

/** A parameter of which the adapter has a copy of its own: of a module that is saved whole, or a trained bias. */
export interface SavedParameter {
  readonly block: string;
  /** Its name in the block, and in the model. */
  readonly local: string;
  readonly parameter: string;
  /** Its key in PEFT's file, less the prefix. */
  readonly key: string;
  readonly shape: readonly number[];
}

/** What an adapter consists of in a model. */
export interface AdapterLayout {
  readonly targets: readonly LoraTarget[];
  readonly saved: readonly SavedParameter[];
  /**
   * PEFT saves the weight of a targeted embedding or head beside the adapter unless told not to. It need not be in a
   * file; where it is, it takes the base's place.
   */
  readonly baseCopies: readonly SavedParameter[];
}

/** What targets are found in. */
export type TargetModel = Pick<Model, 'blocks' | 'parameters'>;

/**
 * Finds what a config means in a model, by PEFT's rules (`isTargeted`): the modules that carry LoRA, in the order of the
 * blocks, and the parameters that are saved whole. Throws ADAPTER_TARGET_UNMATCHED for a name, pattern or layer that
 * matches nothing, ADAPTER_PATTERN_INVALID and ADAPTER_EMBEDDING_UNSUPPORTED.
 */
export function resolveTargets(config: AdapterConfig, model: TargetModel): AdapterLayout {
  refuseInvalidPatterns(config);
  const modules = modulesOf(model);
  const parameters = parametersOf(model);
  const isAllLinear = config.targetModules === 'all-linear';
  const named = isAllLinear
    ? { ...config, targetModules: modules.filter((each) => each.isInnerLinear).map((each) => each.name) }
    : config;
  const targets = modules.filter(({ name }) => isTargeted(named, name)).map((each) => withRank(config, each.target));
  const whole = parameters.filter(({ key }) => ancestors(key).some((name) => isSavedWhole(config, name)));
  refuseUnmatched(config, { modules: modules.map((each) => each.name), parameters, targets });
  const embedding = config.dora ? targets.find((each) => each.kind === 'embedding') : undefined;
  if (embedding !== undefined) throw failure('ADAPTER_EMBEDDING_UNSUPPORTED', { module: embedding.name });

  const biases = parameters.flatMap((each) => {
    if (config.bias === 'none' || whole.includes(each) || !each.key.endsWith('bias')) return [];
    const carrier = each.key.slice(0, -'.bias'.length);
    if (targets.some(({ name }) => name === carrier)) return [{ ...each, key: `${carrier}.base_layer.bias` }];
    return config.bias === 'all' ? [each] : [];
  });
  const ends = targets.filter((each) => each.kind === 'embedding' || isHead(model, each));
  const baseCopies = ends.flatMap(({ name }) =>
    parameters
      .filter(({ key }) => key === `${name}.weight`)
      .map((each) => ({ ...each, key: `${name}.base_layer.weight` })),
  );
  return { targets, saved: [...whole, ...biases], baseCopies };
}

/** PEFT's keys for the tensors of a module. The magnitude is DoRA's. */
export function keysOf({ name, kind }: Pick<LoraTarget, 'name' | 'kind'>) {
  const [a, b] = kind === 'linear' ? ['lora_A.weight', 'lora_B.weight'] : ['lora_embedding_A', 'lora_embedding_B'];
  return { a: `${name}.${a}`, b: `${name}.${b}`, magnitude: `${name}.lora_magnitude_vector` } as const;
}

interface FoundModule {
  readonly name: string;
  readonly isInnerLinear: boolean;
  readonly target: Omit<LoraTarget, 'r' | 'alpha' | 'scaling'>;
}

function modulesOf({ blocks, parameters }: TargetModel): FoundModule[] {
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  return blocks.flatMap((block) =>
    Object.entries(block.modules).map(([module, { kind, layout, weight }]) => {
      const name = prefixOf(block) + module;
      const parameter = block.parameters[weight] as string;
      const [first = 0, second = 0] = shapes.get(parameter) ?? [];
      const [inputs, outputs] = layout === 'out,in' ? [second, first] : [first, second];
      const target = { block: block.name, module, name, kind, layout, weight: parameter, inputs, outputs };
      return { name, isInnerLinear: kind === 'linear' && block.kind !== 'head', target };
    }),
  );
}

function parametersOf({ blocks, parameters }: TargetModel): SavedParameter[] {
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  return blocks.flatMap((block) =>
    Object.entries(block.parameters).map(([local, parameter]) => {
      const key = prefixOf(block) + local;
      return { block: block.name, local, parameter, key, shape: shapes.get(parameter) ?? [] };
    }),
  );
}

/** What stands before a block's local names in the model's: found from a parameter that is its own, not tied. */
export function prefixOf({ parameters }: Block): string {
  for (const [local, name] of Object.entries(parameters)) {
    if (name.endsWith(local)) return name.slice(0, name.length - local.length);
  }
  return '';
}

/** `a.b.c.weight` is in `a.b.c`, `a.b` and `a`. */
function ancestors(key: string): string[] {
  const parts = key.split('.');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('.'));
}

function withRank(config: AdapterConfig, target: FoundModule['target']): LoraTarget {
  const r = patternValue(config.rankPattern, target.name, config.r);
  const alpha = patternValue(config.alphaPattern, target.name, config.alpha);
  return { ...target, r, alpha, scaling: alpha / (config.rslora ? Math.sqrt(r) : r) };
}

function isHead({ blocks }: TargetModel, { block }: LoraTarget): boolean {
  return blocks.some((each) => each.name === block && each.kind === 'head');
}

function refuseInvalidPatterns({ targetModules, excludeModules, ...config }: AdapterConfig): void {
  const patterns = {
    target_modules: typeof targetModules === 'string' ? [targetModules] : [],
    exclude_modules: typeof excludeModules === 'string' ? [excludeModules] : [],
    rank_pattern: Object.keys(config.rankPattern),
    alpha_pattern: Object.keys(config.alphaPattern),
    layers_pattern: config.layersPattern,
    modules_to_save: config.modulesToSave,
  };
  for (const [key, pattern] of Object.entries(patterns).flatMap(([key, each]) =>
    each.map((one) => [key, one] as const),
  )) {
    try {
      pythonRegExp(pattern);
    } catch (cause) {
      throw failure('ADAPTER_PATTERN_INVALID', { key, pattern, reason: (cause as Error).message }, { cause });
    }
  }
}

function refuseUnmatched(
  config: AdapterConfig,
  found: { modules: readonly string[]; parameters: readonly SavedParameter[]; targets: readonly LoraTarget[] },
): void {
  const { targetModules, layersToTransform = [], modulesToSave } = config;
  const refuse = (key: string, target: string, candidates: readonly string[]): never => {
    throw failure('ADAPTER_TARGET_UNMATCHED', { key, target, nearest: nearestNames(target, candidates) });
  };
  const isAlone = { excludeModules: undefined, modulesToSave: [], layersToTransform: undefined, layersPattern: [] };
  for (const each of typeof targetModules === 'string' ? [] : targetModules) {
    const matching = { ...isAlone, targetModules: [each] };
    if (!found.modules.some((name) => isTargeted(matching, name))) refuse('target_modules', each, found.modules);
  }
  const paths = [...new Set(found.parameters.flatMap(({ key }) => ancestors(key)))];
  for (const each of modulesToSave) {
    if (!paths.some((name) => isSavedWhole({ modulesToSave: [each] }, name))) refuse('modules_to_save', each, paths);
  }
  const names = found.targets.map(({ name }) => name);
  for (const layer of layersToTransform) {
    const isMet = names.some((name) => layerOf(name, config.layersPattern) === layer);
    if (!isMet) refuse('layers_to_transform', String(layer), found.modules);
  }
  if (names.length === 0) refuse('target_modules', [targetModules].flat().join(', '), found.modules);
  for (const [key, patterns] of [
    ['rank_pattern', config.rankPattern],
    ['alpha_pattern', config.alphaPattern],
  ] as const) {
    for (const pattern of Object.keys(patterns)) {
      const isMet = names.some((name) => Number.isNaN(patternValue({ [pattern]: Number.NaN }, name, 0)));
      if (!isMet) refuse(key, pattern, names);
    }
  }
}

/** Refuses exclusions that exclude nothing; not of a folder, whose keys say what was left out. Throws ADAPTER_TARGET_UNMATCHED. */
export function refuseIdleExclusions({ excludeModules = [] }: AdapterConfig, model: TargetModel): void {
  const names = modulesOf(model).map(({ name }) => name);
  for (const each of [excludeModules].flat()) {
    const targetModules = typeof excludeModules === 'string' ? each : [each];
    const matching = { targetModules, modulesToSave: [], layersPattern: [] };
    if (names.some((name) => isTargeted(matching, name))) continue;
    throw failure('ADAPTER_TARGET_UNMATCHED', {
      key: 'exclude_modules',
      target: each,
      nearest: nearestNames(each, names),
    });
  }
}
