import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { nearest } from '../options.ts';
import type { Plugin, PluginFactory } from '../plugin.ts';
import { failure } from './errors.ts';
import { type PluginSummary, readManifest } from './manifest.ts';
import type { PluginEntry, RunFile } from './run-file.ts';

/**
 * The plugins of a run file: the default ones, unless they are removed or given options, then the others in its order.
 * Names are checked before a built-in plugin is loaded. Throws PLUGIN_NOT_FOUND, PLUGIN_FILE_MISSING, PLUGIN_LOAD_FAILED,
 * PLUGIN_NOT_EXPORTED and PLUGIN_NOT_THERE.
 */
export async function loadPlugins({ file, plugins: entries }: RunFile): Promise<Plugin[]> {
  const manifest = readManifest();
  const builtIn = manifest.map((each) => each.name);
  const defaults = manifest.filter((each) => each.isDefault);
  refuseMissing(entries, defaults);

  const removed = new Set(entries.filter((each) => each.isRemoved).map((each) => each.name));
  const wanted = entries.filter((each) => !removed.has(each.name));
  const theirs = new Map<PluginEntry, PluginFactory<unknown>>();
  for (const entry of wanted.filter((each) => !builtIn.includes(each.name))) {
    theirs.set(entry, await loadTheirs(entry, file, builtIn));
  }

  const named = await Promise.all(
    wanted.map(async (entry) => {
      const factory = theirs.get(entry) ?? (await loadOurs(entry.name, entry.locate([])));
      return { ...factory(entry.options), locate: entry.locate };
    }),
  );
  const unnamed = defaults.filter(({ name }) => !removed.has(name) && !wanted.some((entry) => entry.name === name));
  const brought = await Promise.all(
    unnamed.map(async ({ name }) => ({ ...(await loadOurs(name))(undefined), isDefault: true })),
  );
  return [...brought, ...named];
}

/** The factory of a built-in plugin. */
export async function loadOurs(name: string, where = name): Promise<PluginFactory<unknown>> {
  return load(`mooring/plugins/${name}`, name, where);
}

async function loadTheirs(
  entry: PluginEntry,
  runFile: string,
  builtIn: readonly string[],
): Promise<PluginFactory<unknown>> {
  const { name, locate } = entry;
  const from = pathToFileURL(path.resolve(runFile));
  if (/^(\.{0,2}\/|file:)/.test(name)) {
    const url = new URL(name.replaceAll('%', '%25').replace(/[?#]/g, encodeURIComponent), from);
    if (!existsSync(url)) throw failure('PLUGIN_FILE_MISSING', { where: locate([]), file: url.pathname });
    return load(url.href, name, locate([]));
  }
  const unknown = () =>
    failure('PLUGIN_NOT_FOUND', { where: locate([]), plugin: name, nearest: nearest(name, builtIn) });
  const [, packageName] = /^((?:@[\w.~-]+\/)?[\w~-][\w.~-]*)(?:\/.*)?$/.exec(name) ?? [];
  if (packageName === undefined) throw unknown();
  // resolved from the run file, by the hooks that register.js sets up
  const specifier = /^mooring(\/|$)/.test(name) ? name : `mooring-plugin:${from.href}!${name}`;
  return load(specifier, name, locate([]), (error) => (isAbsent(error, packageName) ? unknown() : undefined));
}

async function load(
  specifier: string,
  plugin: string,
  where: string,
  explain: (error: Error) => Error | undefined = () => undefined,
): Promise<PluginFactory<unknown>> {
  const module: Readonly<Record<string, unknown>> = await import(specifier).catch((cause: Error) => {
    throw (
      explain(cause) ??
      failure('PLUGIN_LOAD_FAILED', { where, plugin, reason: withoutBacktrace(cause.message) }, { cause })
    );
  });
  if (isFactory(module.default)) return module.default;
  const factories = Object.values(module).filter(isFactory);
  const [only] = factories;
  if (only === undefined || factories.length > 1) {
    throw failure('PLUGIN_NOT_EXPORTED', { where, plugin, found: factories.length === 0 ? 'no' : factories.length });
  }
  return only;
}

/** The compiler adds frames of its own to what is wrong with a file. */
function withoutBacktrace(message: string): string {
  return (message.split('\n\nCaused by:')[0] as string).trim();
}

function isFactory(value: unknown): value is PluginFactory<unknown> {
  return typeof value === 'function' && 'definition' in value;
}

function isAbsent(error: Error, packageName: string): boolean {
  return 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${packageName}'`);
}

function refuseMissing(entries: readonly PluginEntry[], defaults: readonly PluginSummary[]): void {
  const known = defaults.map((each) => each.name);
  for (const { name, locate } of entries.filter((each) => each.isRemoved)) {
    if (known.includes(name) || entries.some((each) => each.name === name && !each.isRemoved)) continue;
    throw failure('PLUGIN_NOT_THERE', {
      where: locate([]),
      plugin: name,
      nearest: nearest(name, known),
      known: known.join(', '),
    });
  }
}
