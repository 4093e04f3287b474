import type { AdapterConfig } from './config.ts';

type Matching = Pick<
  AdapterConfig,
  'targetModules' | 'excludeModules' | 'modulesToSave' | 'layersToTransform' | 'layersPattern'
>;

/**
 * Whether a module of this full name carries LoRA, by PEFT's rules (tuners_utils.py, `check_target_module_exists`): a text
 * is a regular expression for the whole name; a list holds names or their ends, of which ends may be kept to some layers.
 * Excluded modules and those that are saved whole never do. `all-linear` is not a name: the caller knows what is linear.
 */
export function isTargeted(config: Matching, name: string): boolean {
  const { targetModules, excludeModules, modulesToSave, layersToTransform } = config;
  if (excludeModules !== undefined && isNamed(excludeModules, name)) return false;
  if (modulesToSave.some((each) => pythonRegExp(`(.*\\.)?(?:${each})(\\..*)?`).test(name))) return false;
  if (typeof targetModules === 'string') return isNamed(targetModules, name);
  if (targetModules.includes(name)) return true;
  if (!isNamed(targetModules, name)) return false;
  if (layersToTransform === undefined || layersToTransform.length === 0) return true;
  const layer = layerOf(name, config.layersPattern);
  return layer !== undefined && layersToTransform.includes(layer);
}

/** Whether a module is saved whole: PEFT compares ends of names, without regard to dots. */
export function isSavedWhole({ modulesToSave }: Pick<AdapterConfig, 'modulesToSave'>, name: string): boolean {
  return modulesToSave.some((end) => name.endsWith(end));
}

/**
 * The value of the first pattern that matches the end of a module's name, as PEFT's `get_pattern_key` finds it, or
 * `fallback`.
 */
export function patternValue(patterns: Readonly<Record<string, number>>, name: string, fallback: number): number {
  const found = Object.keys(patterns).find((pattern) => pythonRegExp(`(.*\\.)?(?:${pattern})`).test(name));
  return found === undefined ? fallback : (patterns[found] as number);
}

/** A Python regular expression that must match the whole text. Throws SyntaxError for what JavaScript cannot say. */
export function pythonRegExp(pattern: string): RegExp {
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  const body = (flags === null ? pattern : pattern.slice(flags[0].length))
    .replaceAll('(?P<', '(?<')
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replace(/(?<!\\)((?:\\\\)*)\\A/g, '$1^')
    .replace(/(?<!\\)((?:\\\\)*)\\Z/g, '$1$');
  return new RegExp(`^(?:${body})$`, flags?.[1] ?? '');
}

function isNamed(names: readonly string[] | string, name: string): boolean {
  if (typeof names === 'string') return pythonRegExp(names).test(name);
  return names.some((each) => name === each || name.endsWith(`.${each}`));
}

/** The index of the layer that a module is in; `patterns` are what may stand before it, none: anything. */
export function layerOf(name: string, patterns: readonly string[]): number | undefined {
  const before = patterns.length === 0 ? ['[^.]*'] : patterns;
  for (const pattern of before) {
    const found = new RegExp(`^.*?\\.(?:${pattern})\\.(\\d+)\\.`).exec(name);
    if (found !== null) return Number(found.at(-1));
  }
  return undefined;
}
