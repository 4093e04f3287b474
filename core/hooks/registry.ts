import { type HookName, hookNames, hookTable, type Lifecycle } from '../lifecycle.ts';
import { nearest } from '../options.ts';
import { compileCall } from './calls.ts';
import { failure } from './errors.ts';
import type { TapOrder } from './kinds.ts';
import { orderTaps, type PlacedTap, type Tap } from './order.ts';
import { TapRunner } from './runner.ts';

/** What a plugin sees: `hooks.stepEnd.tap(fn, { before, after })`. */
export type TapFace = {
  readonly [Name in HookName]: { tap(fn: Lifecycle[Name]['tap'], order?: TapOrder): void };
};

/** What the core calls: `hooks.call.stepEnd({ step, record })`. */
export type CallFace = {
  readonly [Name in HookName as Lifecycle[Name]['call'] extends never ? never : Name]: Lifecycle[Name]['call'];
};

type Fn = (...args: unknown[]) => unknown;

/**
 * Collects the taps of a run, orders them once, and calls them through tapable.
 * tapable stores and calls; order, names, promises, nulls and attribution are settled here and in the runner.
 */
export class Hooks {
  runner = new TapRunner();
  private readonly taps = new Map<HookName, Tap[]>(hookNames.map((name) => [name, []]));
  private placed: ReadonlyMap<HookName, readonly PlacedTap[]> | undefined;
  private calls: CallFace | undefined;

  /** The tapping side for one plugin. */
  face(plugin: string, isCapturable = false): TapFace {
    const face: Record<string, unknown> = {};
    for (const hook of hookNames)
      face[hook] = { tap: (fn: Fn, order: TapOrder = {}) => this.tap(hook, { plugin, fn, order, isCapturable }) };
    return new Proxy(face, {
      get: (target, hook) => {
        if (typeof hook !== 'string' || hook in target) return target[hook as string];
        throw failure('TAP_UNKNOWN_HOOK', { plugin, hook, nearest: nearest(hook, hookNames) });
      },
    }) as TapFace;
  }

  /** Orders every hook's taps; from here on tapping is refused. `plugins` are the names of the run. */
  freeze(plugins: readonly string[]): void {
    this.placed = new Map(hookNames.map((name) => [name, orderTaps(name, this.taps.get(name) ?? [], plugins)]));
    this.calls = Object.fromEntries(hookNames.map((name) => [name, this.compile(name)])) as CallFace;
  }

  /** The taps of a hook in their order, with the reasons. */
  tapsOf(hook: HookName): readonly PlacedTap[] {
    return this.placed?.get(hook) ?? [];
  }

  isTapped(hook: HookName): boolean {
    return this.tapsOf(hook).length > 0;
  }

  /** The calling side; there is none before `freeze`. */
  get call(): CallFace {
    return this.calls as CallFace;
  }

  private compile(hook: HookName) {
    const after = hook.replace('before', 'after') as HookName;
    return compileCall({
      hook,
      kind: hookTable[hook].kind,
      taps: this.tapsOf(hook),
      runner: this.runner,
      after: { hook: after, taps: this.tapsOf(after) },
    });
  }

  private tap(hook: HookName, tap: Tap): void {
    const { plugin, fn } = tap;
    if (this.placed !== undefined) throw failure('TAP_FROZEN', { plugin, hook });
    if (hookTable[hook].kind.startsWith('sync') && isAsyncFunction(fn)) throw failure('HOOK_ASYNC', { plugin, hook });
    this.taps.get(hook)?.push(tap);
  }
}

/** Judged by the tag, since `instanceof` fails for functions of another realm. */
function isAsyncFunction(fn: unknown): boolean {
  return Object.prototype.toString.call(fn) === '[object AsyncFunction]';
}
