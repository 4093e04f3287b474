import 'reflect-metadata';
import { Container, ContainerModule } from 'inversify';
import { MooringError } from './errors.ts';
import { failure } from './failure.ts';
import type { Services, Uses } from './plugin.ts';
import { type Decorated, type Need, needed, type Provided, providersOf } from './providers.ts';

/**
 * The services of a run: each token has one provider and any number of decorators, in order of registration.
 * Everything that is needed is resolved once, before training, from one inversify module for each plugin.
 */
export class ServiceContainer {
  private readonly providers = new Map<symbol, Provided>();
  private readonly container = new Container({ defaultScope: 'Singleton' });
  private readonly created = new Set<unknown>();
  private readonly resolved = new Map<symbol, unknown>();
  isOpen = false;
  private readonly decorated: readonly Decorated[];
  private readonly needs: readonly Need[];

  constructor(provided: readonly Provided[], decorated: readonly Decorated[], needs: readonly Need[]) {
    this.decorated = decorated;
    this.needs = needs;
    for (const one of providersOf(provided)) this.addProvider(one);
    const wanted = [
      ...needs,
      ...[...this.providers.values()].map(({ plugin, provision }) => needOf(plugin, provision.uses)),
      ...decorated.map(({ plugin, token, decoration }) => needOf(plugin, { ...decoration.uses, [token.name]: token })),
    ];
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
    this.isOpen = true;
  }

  /** Resolved services by the names that `uses` gives them; none before all are resolved. */
  servicesOf<Used extends Uses>(uses: Used): Services<Used> {
    const values = Object.entries(uses).map(([name, use]) => [name, this.resolved.get(needed(use).token.symbol)]);
    return Object.fromEntries(values);
  }

  /** Calls `dispose` of every service that has one, last made first and each once, then throws what failed. */
  dispose(): void {
    const errors: unknown[] = [];
    for (const service of [...this.created].reverse()) {
      try {
        (service as { dispose?(): void } | undefined)?.dispose?.();
      } catch (error) {
        errors.push(error);
      }
    }
    this.created.clear();
    if (errors.length > 0) throw errors[0];
  }

  private addProvider(one: Provided): void {
    const { plugin, token, provision } = one;
    const first = this.providers.get(token.symbol);
    if (first?.plugin !== provision.replaces) {
      const service = token.name;
      // two that replace the same one are as undecided as two that replace none
      if (first !== undefined && first.provision.replaces === provision.replaces) {
        throw failure('SERVICE_PROVIDED_TWICE', { first: first.plugin, second: plugin, service });
      }
      throw failure('SERVICE_REPLACES_NOTHING', { plugin, service, replaced: provision.replaces ?? '' });
    }
    this.providers.set(token.symbol, one);
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
    for (const { plugin, token, provision } of this.providers.values()) {
      const wrappers = this.decorated.filter((each) => each.token.symbol === token.symbol);
      const layers: Layer[] = [
        { plugin, uses: provision.uses, create: (_, services) => provision.create(services) },
        ...wrappers.map((each) => ({ plugin: each.plugin, ...each.decoration })),
      ];
      // each layer wraps the one below, and the last answers to the token
      let below: symbol | undefined;
      for (const [index, layer] of layers.entries()) {
        const symbol = index === layers.length - 1 ? token.symbol : Symbol(`${token.name}#${index}`);
        const binding = this.binding(layer, token.name, symbol, below);
        modules.set(layer.plugin, [...(modules.get(layer.plugin) ?? []), binding]);
        below = symbol;
      }
    }
    for (const bindings of modules.values()) {
      const module = new ContainerModule(({ bind }) => {
        for (const { symbol, make, inject } of bindings) bind(symbol).toResolvedValue(make, inject);
      });
      this.container.load(module);
    }
  }

  private binding(
    { plugin, uses, create }: Layer,
    service: string,
    symbol: symbol,
    below: symbol | undefined,
  ): Binding {
    const inject = Object.values(uses).map((use) => {
      const { token, isOptional } = needed(use);
      return { serviceIdentifier: token.symbol, optional: isOptional as true };
    });
    if (below !== undefined) inject.push({ serviceIdentifier: below, optional: false as true });
    const make = async (...values: unknown[]) => {
      const services = Object.fromEntries(Object.keys(uses).map((name, index) => [name, values[index]]));
      try {
        const made = await create(below === undefined ? undefined : values.at(-1), services as Services<Uses>);
        this.created.add(made);
        return made;
      } catch (cause) {
        if (cause instanceof MooringError) throw cause;
        const message = cause instanceof Error ? cause.message : String(cause);
        throw failure('SERVICE_FAILED', { plugin, service, message }, { cause, place: { plugin } });
      }
    };
    return { symbol, make, inject };
  }
}

/** A provider or a decorator: what makes one of the objects that stand behind a token. */
interface Layer {
  readonly plugin: string;
  readonly uses: Uses;
  readonly create: (inner: unknown, services: Services<Uses>) => unknown;
}

interface Binding {
  readonly symbol: symbol;
  readonly make: (...values: unknown[]) => Promise<unknown>;
  readonly inject: { serviceIdentifier: symbol; optional: true }[];
}

function needOf(plugin: string, uses: Uses): Need {
  return { asker: `The plugin ${plugin}`, uses };
}
