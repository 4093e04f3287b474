import { AsyncLocalStorage } from 'node:async_hooks';
import type { LoraAdapter } from './adapter.ts';
import { failure } from './errors.ts';

/** The variant of a pass over the base alone. */
export const adaptersOff = 'adapters-off';

/** The adapter that is trained. */
export const trainedName = 'default';

/** The adapters of a model, and which is in use where: a scope for each chain of calls, so that interleaved ones do not meet. */
export class AdapterSet {
  readonly all = new Map<string, LoraAdapter>();
  /** The one that is written into the base. */
  merged: string | undefined;
  private readonly scope = new AsyncLocalStorage<{ readonly active: string | undefined }>();
  private chosen: string = trainedName;

  get active(): string | undefined {
    const scope = this.scope.getStore();
    return scope === undefined ? this.chosen : scope.active;
  }

  /** The adapter that a variant stands for; without one, or with that of another plugin, the trained one. */
  of(variant: string | undefined): LoraAdapter | undefined {
    if (variant === adaptersOff) return undefined;
    return this.all.get(nameIn(variant) ?? trainedName);
  }

  add(adapter: LoraAdapter): void {
    this.all.set(adapter.name, adapter);
  }

  /** Throws ADAPTER_UNKNOWN. */
  get(name: string): LoraAdapter {
    const found = this.all.get(name);
    if (found !== undefined) return found;
    throw failure('ADAPTER_UNKNOWN', { adapter: name, names: [...this.all.keys()].join(', ') });
  }

  /** Throws ADAPTER_UNKNOWN and ADAPTER_IS_MERGED. */
  within<Result>(name: string | undefined, body: () => Result): Result {
    this.refuseMerged();
    if (name !== undefined) this.get(name);
    return this.scope.run({ active: name }, body);
  }

  /** Throws ADAPTER_UNKNOWN and ADAPTER_IS_MERGED. */
  use(name: string): void {
    this.refuseMerged();
    this.chosen = this.get(name).name;
  }

  /** The variant of a pass: its own, or that of what is in use here. Throws ADAPTER_IS_MERGED. */
  variantOf(asked: string | undefined): string | undefined {
    if (this.merged !== undefined) {
      if (asked !== undefined) this.refuseMerged();
      return adaptersOff;
    }
    if (asked !== undefined) return asked;
    return this.active === undefined ? adaptersOff : variantOf(this.active);
  }

  /** For people. */
  get inUse(): string {
    if (this.merged !== undefined) return `"${this.merged}" is merged into the base`;
    return this.active === undefined ? 'adapters are off' : `"${this.active}" is in use`;
  }

  refuseMerged(): void {
    if (this.merged !== undefined) throw failure('ADAPTER_IS_MERGED', { adapter: this.merged });
  }
}

/** The variant of a pass with an adapter. */
export const variantOf = (adapter: string) => `adapter:${adapter}`;

function nameIn(variant: string | undefined): string | undefined {
  return variant?.startsWith('adapter:') === true ? variant.slice('adapter:'.length) : undefined;
}
