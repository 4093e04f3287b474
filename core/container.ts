import 'reflect-metadata';
import { Container, ContainerModule } from 'inversify';
import { failure } from './failure.ts';
import type { Decoration, Provision, Services, Uses } from './plugin.ts';
import type { Token } from './tokens.ts';

/** A provider as a plugin declared it. */
export interface Provided {
  readonly plugin: string;
  readonly token: Token<unknown>;
  readonly provision: Provision<unknown, Uses>;
}

/** A decorator as a plugin declared it. */
export interface Decorated {
  readonly plugin: string;
  readonly token: Token<unknown>;
  readonly decoration: Decoration<unknown, Uses>;
}

/** What somebody needs, for the message when it is missing. */
export interface Need {
  readonly asker: string;
  readonly uses: Uses;
}

/**
 * The services of a run: each token has one provider and any number of decorators, in order of registration.
 * Everything that is needed is resolved once, before training, from one inversify module for each plugin.
 */
export class ServiceContainer {
  private readonly providers = new Map<symbol, Provided>();
  private readonly container = new Container({ defaultScope: 'Singleton' });
  private readonly created: unknown[] = [];
  private readonly resolved = new Map<symbol, unknown>();

  private readonly decorated: readonly Decorated[];
  private readonly needs: readonly Need[];

  constructor(provided: readonly Provided[], decorated: readonly Decorated[], needs: readonly Need[]) {
    this.decorated = decorated;
    this.needs = needs;
    for (const one of provided.filter((each) => each.provision.replaces === undefined)) this.addProvider(one);
    for (const one of provided.filter((each) => each.provision.replaces !== undefined)) this.replaceProvider(one);
    const wanted = [...needs, ...[...this.providers.values()].map(needOfProvider), ...decorated.map(needOfDecorator)];
    for (const { asker, uses } of wanted) this.refuseMissing(asker, uses);
    for (const token of this.providers.keys()) this.refuseCycle(token, []);
    this.load();
  }

  /** Makes every service that is needed, in the order that their needs dictate. */
  async resolve(): Promise<void> {
    for (const { uses } of this.needs) {
      for (const use of Object.values(uses)) {
        const { token } = needed(use);
        if (!this.providers.has(token.symbol) || this.resolved.has(token.symbol)) continue;
        this.resolved.set(token.symbol, await this.container.getAsync(token.symbol));
      }
    }
  }

  /** Resolved services by the names that `uses` gives them. */
  servicesOf<Used extends Uses>(uses: Used): Services<Used> {
    const values = Object.entries(uses).map(([name, use]) => [name, this.resolved.get(needed(use).token.symbol)]);
    return Object.fromEntries(values);
  }

  /** Which plugin provides a token, for `explain`. */
  providerOf(token: Token<unknown>): string | undefined {
    return this.providers.get(token.symbol)?.plugin;
  }

  /** Calls `dispose` of every service that has one, last made first. */
  dispose(): void {
    for (const service of this.created.splice(0).reverse()) {
      if (isDisposable(service)) service.dispose();
    }
  }

  private addProvider(one: Provided): void {
    const first = this.providers.get(one.token.symbol);
    if (first !== undefined) {
      throw failure('SERVICE_PROVIDED_TWICE', { first: first.plugin, second: one.plugin, service: one.token.name });
    }
    this.providers.set(one.token.symbol, one);
  }

  private replaceProvider(one: Provided): void {
    const replaced = one.provision.replaces as string;
    if (this.providers.get(one.token.symbol)?.plugin !== replaced) {
      throw failure('SERVICE_REPLACES_NOTHING', { plugin: one.plugin, service: one.token.name, replaced });
    }
    this.providers.set(one.token.symbol, one);
  }

  private refuseMissing(asker: string, uses: Uses): void {
    for (const use of Object.values(uses)) {
      const { token, isOptional } = needed(use);
      if (isOptional || this.providers.has(token.symbol)) continue;
      throw failure('SERVICE_MISSING', { asker, service: token.name, usual: token.usualProvider });
    }
  }

  private refuseCycle(symbol: symbol, path: readonly Provided[]): void {
    const one = this.providers.get(symbol);
    if (one === undefined) return;
    const cycle = [...path, one];
    if (path.includes(one)) {
      const names = cycle.slice(path.indexOf(one)).map((each) => `${each.token.name} (${each.plugin})`);
      throw failure('SERVICE_CYCLE', { cycle: names.join(' -> ') });
    }
    const wrappers = this.decorated.filter((each) => each.token.symbol === symbol);
    for (const uses of [one.provision.uses, ...wrappers.map((each) => each.decoration.uses)]) {
      for (const use of Object.values(uses)) this.refuseCycle(needed(use).token.symbol, cycle);
    }
  }

  private load(): void {
    const modules = new Map<string, Binding[]>();
    const add = (plugin: string, binding: Binding) => modules.set(plugin, [...(modules.get(plugin) ?? []), binding]);
    for (const { plugin, token, provision } of this.providers.values()) {
      // layer 0 is the provider, each decorator wraps the layer below, and the last layer answers to the token
      const layers = this.decorated.filter((each) => each.token.symbol === token.symbol);
      const symbols = layers.map((_, layer) => Symbol(`${token.name}#${layer}`)).concat(token.symbol);
      add(
        plugin,
        this.binding(symbols[0], provision.uses, undefined, (_, services) => provision.create(services)),
      );
      layers.forEach(({ plugin: wrapper, decoration }, layer) => {
        add(wrapper, this.binding(symbols[layer + 1], decoration.uses, symbols[layer], decoration.create));
      });
    }
    for (const bindings of modules.values()) {
      const module = new ContainerModule(({ bind }) => {
        for (const { symbol, make, inject } of bindings) bind(symbol).toResolvedValue(make, inject);
      });
      this.container.load(module);
    }
  }

  private binding(
    symbol: symbol | undefined,
    uses: Uses,
    inner: symbol | undefined,
    create: (inner: unknown, services: Services<Uses>) => unknown,
  ): Binding {
    const names = Object.keys(uses);
    const inject = Object.values(uses).map((use) => {
      const { token, isOptional } = needed(use);
      return { serviceIdentifier: token.symbol, optional: isOptional as true };
    });
    const make = async (...values: unknown[]) => {
      const below = inner === undefined ? undefined : values.pop();
      const service = await create(below, byName(names, values) as Services<Uses>);
      this.created.push(service);
      return service;
    };
    if (inner !== undefined) inject.push({ serviceIdentifier: inner, optional: false as true });
    return { symbol: symbol as symbol, make, inject };
  }
}

interface Binding {
  readonly symbol: symbol;
  readonly make: (...values: unknown[]) => Promise<unknown>;
  readonly inject: { serviceIdentifier: symbol; optional: true }[];
}

function byName(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name, index) => [name, values[index]]));
}

/** The token of a use, and whether it may be absent. */
export function needed(use: Uses[string]): { token: Token<unknown>; isOptional: boolean } {
  return 'optional' in use ? { token: use.optional, isOptional: true } : { token: use, isOptional: false };
}

function needOfProvider({ plugin, provision }: Provided): Need {
  return { asker: `The plugin ${plugin}`, uses: provision.uses };
}

function needOfDecorator({ plugin, decoration }: Decorated): Need {
  return { asker: `The plugin ${plugin}`, uses: decoration.uses };
}

function isDisposable(service: unknown): service is { dispose(): void } {
  return (
    typeof service === 'object' && service !== null && 'dispose' in service && typeof service.dispose === 'function'
  );
}
