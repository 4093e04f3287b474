import { parse } from 'yaml';
import { failure } from './errors.ts';

/** A run file's content with settings applied, and which setting a path comes from. */
export interface AppliedSettings {
  readonly data: unknown;
  settingOf(path: readonly PropertyKey[]): string | undefined;
}

type Container = Record<PropertyKey, unknown>;

/**
 * Applies `--set train.steps=5` to the content of a run file; values are YAML. `plugins.NAME...` means the entry of that
 * plugin, wherever it stands in the list, and adds one if there is none. Throws SETTING_MALFORMED.
 */
export function applySettings(content: unknown, settings: readonly string[]): AppliedSettings {
  const root: Container = { data: structuredClone(content ?? {}) };
  const places: { readonly path: readonly PropertyKey[]; readonly setting: string }[] = [];
  for (const setting of settings) {
    const { keys, value } = parseSetting(setting);
    const path = keys[0] === 'plugins' && keys.length > 1 ? pluginPath(root, keys.slice(1)) : keys;
    write(root, ['data', ...path], value);
    places.push({ path, setting });
  }
  const startsWith = (path: readonly PropertyKey[], start: readonly PropertyKey[]) =>
    start.every((part, index) => part === path[index]);
  return {
    data: root.data,
    settingOf: (path) => places.findLast((place) => startsWith(path, place.path))?.setting,
  };
}

function parseSetting(setting: string): { keys: string[]; value: unknown } {
  const [, key, text] = /^([^=]+)=(.*)$/s.exec(setting) ?? [];
  if (key === undefined || text === undefined)
    throw failure('SETTING_MALFORMED', { setting, reason: 'it has no key or no =' });
  const keys = key.trim().split('.');
  if (keys[0] !== 'plugins' && keys.includes(''))
    throw failure('SETTING_MALFORMED', { setting, reason: 'a key is empty' });
  try {
    return { keys, value: parse(text) };
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0] ?? '';
    throw failure('SETTING_MALFORMED', { setting, reason: `the value is not valid YAML: ${reason}` }, { cause });
  }
}

/** Finds the plugin that the keys begin with; names of paths hold dots themselves, so the longest name that fits counts. */
function pluginPath(root: Container, keys: readonly string[]): PropertyKey[] {
  const plugins = (root.data as Container | null)?.plugins;
  const names = (Array.isArray(plugins) ? plugins : []).map(nameOfEntry);
  for (let length = keys.length; length > 0; length--) {
    const name = keys.slice(0, length).join('.');
    const index = names.indexOf(name);
    if (index >= 0) return ['plugins', index, name, ...keys.slice(length)];
  }
  if (!Array.isArray(plugins)) write(root, ['data', 'plugins'], []);
  return ['plugins', names.length, ...keys];
}

function nameOfEntry(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry;
  return typeof entry === 'object' && entry !== null ? Object.keys(entry)[0] : undefined;
}

/** Sets a value, making what is missing on the way. Own properties only, so that no key reaches a prototype. */
function write(container: Container, path: readonly PropertyKey[], value: unknown): void {
  const [key, ...rest] = path as [PropertyKey, ...PropertyKey[]];
  const define = (own: unknown) =>
    Object.defineProperty(container, key, { value: own, enumerable: true, writable: true, configurable: true });
  if (rest.length === 0) return void define(value);
  const below = Object.hasOwn(container, key) ? container[key] : undefined;
  if (typeof below !== 'object' || below === null) define({});
  write(container[key] as Container, rest, value);
}
