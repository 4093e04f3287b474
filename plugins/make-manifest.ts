import { readdirSync, readFileSync } from 'node:fs';
import type { Plugin, PluginFactory } from 'mooring';
import { defaults } from './index.ts';

/**
 * What plugins/manifest.json should say, from the code: the command line lists plugins and commands by it, and loads none.
 * `npm run docs` writes it.
 */
export async function makeManifest(): Promise<string> {
  const folder = new URL('.', import.meta.url);
  const names = readdirSync(folder, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? [each.name] : []));
  const ours = defaults();
  const order = ours.map((plugin) => plugin.definition.name);
  const sorted = [...order, ...names.filter((name) => !order.includes(name)).sort()];
  const entries = [];
  for (const name of sorted) {
    const plugin = ours.find((each) => each.definition.name === name) ?? (await factoryOf(name))();
    const { commands = [] } = plugin.definition;
    entries.push({
      name,
      summary: summaryOf(readFileSync(new URL(`${name}/README.md`, folder), 'utf8')),
      isDefault: order.includes(name),
      provides: servicesOf(plugin),
      commands: commands.map(({ run: _, ...described }) => described),
    });
  }
  return `${JSON.stringify(entries, null, 2)}\n`;
}

async function factoryOf(name: string): Promise<PluginFactory<undefined>> {
  const module: Readonly<Record<string, unknown>> = await import(`./${name}/index.ts`);
  const isFactory = (value: unknown): value is PluginFactory<undefined> =>
    typeof value === 'function' && 'definition' in value;
  return Object.values(module).find(isFactory) as PluginFactory<undefined>;
}

/** The first sentence of a README after its title. */
function summaryOf(readme: string): string {
  const paragraph = readme.split('\n\n').find((each) => !each.startsWith('#')) ?? '';
  return (/^.*?[.](?=\s|$)/s.exec(paragraph)?.[0] ?? paragraph).replaceAll('\n', ' ').trim();
}

/** The services that a plugin provides: `apply` only declares, so it may be asked. */
function servicesOf({ apply, definition }: Plugin): string[] {
  const names: string[] = [];
  const nothing = () => undefined;
  const result = definition.options?.['~standard'].validate({});
  apply({
    hooks: new Proxy({} as Parameters<typeof apply>[0]['hooks'], { get: () => ({ tap: nothing }) }),
    options: result !== undefined && 'value' in result ? result.value : undefined,
    services: {},
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    provide: (token) => void names.push(token.name),
    decorate: nothing,
  });
  return names.sort();
}
