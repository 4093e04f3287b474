import { causeOf } from './collectives/errors.ts';
import { ServiceContainer } from './container.ts';
import { failure } from './failure.ts';
import { refuseChangesOnFirst } from './first-rank.ts';
import { Hooks } from './hooks/registry.ts';
import { type HookName, hookNames, hookTable } from './lifecycle.ts';
import { checkOptions } from './options.ts';
import { apiVersion, type ChosenPlugin, type Plugin, type PluginContext, type Services, type Uses } from './plugin.ts';
import { type Decorated, type Need, needed, type Provided, providersOf } from './providers.ts';
import { Collectives, type Log } from './tokens.ts';

/** The taps of a hook as `explain` shows them. */
export interface PlannedHook {
  readonly hook: HookName;
  readonly kind: string;
  readonly taps: readonly { readonly plugin: string; readonly why: string; readonly isDefault: boolean }[];
}

/** A service as `explain` shows it. */
export interface PlannedService {
  readonly service: string;
  readonly provider: string;
  readonly decorators: readonly string[];
}

/** What a run would do, before anything runs. */
export interface Plan {
  readonly plugins: readonly { readonly name: string; readonly isDefault: boolean }[];
  readonly hooks: readonly PlannedHook[];
  readonly services: readonly PlannedService[];
}

/** The plugins of a run, checked, applied and ordered: frozen. */
export class Assembly {
  readonly hooks = new Hooks();
  readonly chosen: ChosenPlugin[] = [];
  private readonly plugins: readonly Plugin[];
  private readonly provided: Provided[] = [];
  private readonly decorated: Decorated[] = [];
  private readonly needs: Need[] = [];
  private container: ServiceContainer | undefined;

  constructor(plugins: readonly Plugin[], log: Log) {
    this.plugins = plugins;
    const names = plugins.map(nameOf);
    for (const plugin of plugins) check(plugin, names);
    for (const plugin of plugins) plugin.apply(this.contextOf(plugin, log));
    this.hooks.freeze(names);
    refuseChangesOnFirst(this.chosen, this.hooks, [...this.provided, ...this.decorated]);
  }

  /** Resolves every service that a plugin, or the core, uses. */
  async open<Used extends Uses>(core: Used): Promise<Services<Used>> {
    this.container = new ServiceContainer(this.provided, this.decorated, [
      // the ranks come first: they divide the machine before an engine takes all of it, and must hear of what fails later
      { asker: 'The core', uses: { collectives: { optional: Collectives } } },
      ...this.needs,
      { asker: 'The core', uses: core },
    ]);
    await this.container.resolve();
    const { collectives } = this.container.servicesOf({ collectives: Collectives });
    for (const { definition } of (collectives?.rank ?? 0) > 0 ? this.chosen : [])
      if (definition.ranks === 'first') this.hooks.runner.silenced.add(definition.name);
    return this.container.servicesOf(core);
  }

  /** Tells other ranks that this one has failed. */
  abort(error: unknown): void {
    const collectives = this.container?.servicesOf({ collectives: Collectives }).collectives;
    collectives?.abort(causeOf(error));
  }

  /** Disposes the services, last made first. */
  close(): void {
    this.container?.dispose();
  }

  plan(): Plan {
    const isDefault = (name: string) => this.plugins.find((plugin) => nameOf(plugin) === name)?.isDefault ?? false;
    return {
      plugins: this.plugins.map((plugin) => ({ name: nameOf(plugin), isDefault: isDefault(nameOf(plugin)) })),
      hooks: hookNames.map((hook) => ({
        hook,
        kind: hookTable[hook].kind,
        taps: this.hooks.tapsOf(hook).map(({ plugin, why }) => ({ plugin, why, isDefault: isDefault(plugin) })),
      })),
      services: providersOf(this.provided).map(({ plugin, token }) => ({
        service: token.name,
        provider: plugin,
        decorators: this.decorated.filter((each) => each.token.symbol === token.symbol).map((each) => each.plugin),
      })),
    };
  }

  private contextOf(plugin: Plugin, log: Log): PluginContext<unknown, Uses> {
    const name = nameOf(plugin);
    const uses = plugin.definition.uses ?? {};
    this.needs.push({ asker: `The plugin ${name}`, uses });
    const options = optionsOf(plugin);
    this.chosen.push({ definition: plugin.definition, options });
    return {
      hooks: this.hooks.face(name, plugin.definition.capturable),
      options,
      services: this.lateServices(name, uses),
      log,
      provide: (token, provision) => void this.provided.push({ plugin: name, token, provision } as Provided),
      decorate: (token, decoration) => void this.decorated.push({ plugin: name, token, decoration } as Decorated),
    };
  }

  /** Services by the plugin's own names; reading one before it exists says so. */
  private lateServices(plugin: string, uses: Uses): Services<Uses> {
    const read = (name: string) => {
      const use = uses[name];
      if (use === undefined) throw failure('SERVICE_NOT_DECLARED', { plugin, service: name });
      if (this.container?.isOpen !== true) {
        throw failure('SERVICE_TOO_EARLY', { plugin, service: needed(use).token.name });
      }
      return this.container.servicesOf({ [name]: use })[name];
    };
    return new Proxy({}, { get: (_, name) => read(String(name)) });
  }
}

/** A plugin's name. */
export function nameOf(plugin: Plugin): string {
  return plugin.definition.name;
}

/** The checklist of registration: one name once, an API version that this core speaks, companions, no conflicts. */
function check(plugin: Plugin, names: readonly string[]): void {
  const { name, apiVersion: wanted, requires = [], conflicts = {} } = plugin.definition;
  if (names.indexOf(name) !== names.lastIndexOf(name)) throw failure('PLUGIN_DUPLICATE', { plugin: name });
  if (wanted !== apiVersion) throw failure('PLUGIN_API_VERSION', { plugin: name, wanted, have: apiVersion });
  for (const required of requires) {
    if (!names.includes(required)) throw failure('PLUGIN_MISSING', { plugin: name, required });
  }
  for (const [other, because] of Object.entries(conflicts)) {
    if (names.includes(other)) throw failure('PLUGIN_CONFLICT', { plugin: name, other, because });
  }
}

function optionsOf({ definition, options, locate }: Plugin): unknown {
  const where = locate ?? ((path) => `${definition.name}${path.map((part) => `.${String(part)}`).join('')}`);
  if (definition.options !== undefined) return checkOptions(definition.options, options, where);
  if (options === undefined || (typeof options === 'object' && Object.keys(options ?? {}).length === 0))
    return undefined;
  const hint = `Write it as \`- ${definition.name}\`.`;
  throw failure('OPTIONS_INVALID', { where: where([]), problem: 'this plugin takes no options', hint });
}
