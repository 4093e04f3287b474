import { AsyncSeriesBailHook, AsyncSeriesHook, AsyncSeriesWaterfallHook, SyncHook, SyncWaterfallHook } from 'tapable';
import { MooringError } from '../errors.ts';
import { failure } from './errors.ts';
import type { PlacedTap } from './order.ts';
import type { TapRunner } from './runner.ts';

type Fn = (...args: unknown[]) => unknown;

/** What a compiled call needs to know of its hook. */
export interface CallPlan {
  readonly hook: string;
  readonly kind: string;
  readonly taps: readonly PlacedTap[];
  readonly runner: TapRunner;
  /** Of a pair's first hook: the name and taps of the second. */
  readonly after?: { readonly hook: string; readonly taps: readonly PlacedTap[] };
}

/** Builds the function that calls a hook's taps in their order. A hook that nobody taps costs one function call. */
export function compileCall(plan: CallPlan): Fn {
  const compiled = compilers[plan.kind] as (plan: CallPlan) => Fn;
  return compiled(plan);
}

const compilers: Readonly<Record<string, (plan: CallPlan) => Fn>> = {
  series: (plan) => {
    const hook = new AsyncSeriesHook<[unknown]>(['args']);
    for (const tap of plan.taps) hook.tapPromise(tap.plugin, async (args) => void (await run(plan, tap, args)));
    return plan.taps.length === 0 ? async () => undefined : (args) => hook.promise(args);
  },

  waterfall: (plan) => {
    const hook = new AsyncSeriesWaterfallHook<[unknown, unknown]>(['value', 'args']);
    for (const tap of plan.taps) hook.tapPromise(tap.plugin, async (value, args) => run(plan, tap, value, args));
    return plan.taps.length === 0 ? async (value) => value : (value, args) => hook.promise(value, args);
  },

  'sync waterfall': (plan) => {
    const hook = new SyncWaterfallHook<[unknown, unknown]>(['value', 'args']);
    for (const tap of plan.taps) hook.tap(tap.plugin, (value, args) => run(plan, tap, value, args));
    return plan.taps.length === 0 ? (value) => value : (value, args) => hook.call(value, args);
  },

  bail: (plan) => {
    const hook = new AsyncSeriesBailHook<[unknown], unknown>(['args']);
    for (const tap of plan.taps) hook.tapPromise(tap.plugin, async (args) => run(plan, tap, args));
    return plan.taps.length === 0 ? async () => undefined : (args) => hook.promise(args);
  },

  collect: (plan) => {
    const hook = new AsyncSeriesHook<[unknown, Collected]>(['args', 'parts']);
    for (const tap of plan.taps) {
      hook.tapPromise(tap.plugin, async (args, parts) => parts.add(plan, tap, await run(plan, tap, args)));
    }
    return async (args) => {
      const parts = new Collected();
      await hook.promise(args, parts);
      return parts.byName;
    };
  },

  'sync collect': (plan) => {
    const hook = new SyncHook<[unknown, Collected]>(['args', 'parts']);
    for (const tap of plan.taps) hook.tap(tap.plugin, (args, parts) => parts.add(plan, tap, run(plan, tap, args)));
    return (args) => {
      const parts = new Collected();
      hook.call(args, parts);
      return parts.byName;
    };
  },

  'paired before': (plan) => {
    const after = plan.after as NonNullable<CallPlan['after']>;
    const opening = new AsyncSeriesHook<[unknown, Set<string>]>(['args', 'begun']);
    for (const tap of plan.taps) {
      opening.tapPromise(tap.plugin, async (args, begun) => {
        begun.add(tap.plugin);
        await run(plan, tap, args);
      });
    }
    const hasOpening = new Set(plan.taps.map((tap) => tap.plugin));
    const isOwed = (tap: PlacedTap, begun: Set<string>) => begun.has(tap.plugin) || !hasOpening.has(tap.plugin);
    if (plan.taps.length + after.taps.length === 0) return (_, body) => (body as Fn)();
    return (args, body) => {
      const begun = new Set<string>();
      const between = async () => {
        await opening.promise(args, begun);
        return (body as Fn)();
      };
      return settle({ ...plan, hook: after.hook }, args, between, () => after.taps.filter((tap) => isOwed(tap, begun)));
    };
  },

  'paired after': () => () => undefined,

  settled: (plan) => (args) =>
    settle(
      plan,
      args,
      async () => undefined,
      () => plan.taps,
    ),
};

class Collected {
  readonly byName: Record<string, unknown> = {};
  private readonly givers = new Map<string, string>();

  add(plan: CallPlan, tap: PlacedTap, parts: unknown): void {
    for (const [name, part] of Object.entries(parts ?? {})) {
      const first = this.givers.get(name);
      if (first !== undefined) {
        throw failure('HOOK_DUPLICATE_PART', { first, plugin: tap.plugin, name, hook: plan.hook });
      }
      this.givers.set(name, tap.plugin);
      this.byName[name] = part;
    }
  }
}

function run(plan: CallPlan, tap: PlacedTap, ...args: unknown[]): unknown {
  return plan.runner.run(plan.hook, plan.kind.startsWith('sync'), tap, () => (tap.fn as Fn)(...args));
}

/** Runs `body`, then the taps that are owed, last first, whatever fails; then throws what failed. */
async function settle(
  plan: CallPlan,
  args: unknown,
  body: () => Promise<unknown>,
  owed: () => readonly PlacedTap[],
): Promise<unknown> {
  const errors: unknown[] = [];
  const attempt = async (action: () => unknown) => {
    try {
      return await action();
    } catch (error) {
      errors.push(error);
      return undefined;
    }
  };
  const result = await attempt(body);
  for (const tap of [...owed()].reverse()) await attempt(() => run(plan, tap, args));
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) {
    const messages = errors.map((error) => (error instanceof Error ? error.message : String(error))).join(' | ');
    const cause = new AggregateError(errors, messages);
    const place = errors[0] instanceof MooringError ? errors[0].place : {};
    throw failure('HOOKS_FAILED', { hook: plan.hook, count: errors.length, messages }, { cause, place });
  }
  return result;
}
