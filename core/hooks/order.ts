import { failure } from './errors.ts';
import type { TapOrder } from './kinds.ts';

/** A tap as it was registered. */
export interface Tap {
  readonly plugin: string;
  readonly fn: (...args: never[]) => unknown;
  readonly order: TapOrder;
  /** Whether the plugin says that it may be recorded and compiled. */
  readonly isCapturable: boolean;
}

/** A tap in its place, and the reason that `explain` gives for it. */
export interface PlacedTap extends Tap {
  readonly why: string;
}

/**
 * Puts a hook's taps in order: registration order, then `before` and `after` by plugin name.
 * Throws TAP_ORDER_UNKNOWN for a name that no plugin of the run has, TAP_ORDER_CYCLE with the cycle spelled out.
 */
export function orderTaps(hook: string, taps: readonly Tap[], plugins: readonly string[]): PlacedTap[] {
  const earlier = new Map<Tap, Set<Tap>>(taps.map((tap) => [tap, new Set()]));
  for (const tap of taps) {
    for (const name of named(tap, 'before')) {
      for (const other of tapsOf(name, tap)) earlier.get(other)?.add(tap);
    }
    for (const name of named(tap, 'after')) {
      for (const other of tapsOf(name, tap)) earlier.get(tap)?.add(other);
    }
  }
  const waiting = [...taps];
  const placed: PlacedTap[] = [];
  while (waiting.length > 0) {
    const next = waiting.find((tap) => waiting.every((other) => !earlier.get(tap)?.has(other)));
    if (next === undefined) throw failure('TAP_ORDER_CYCLE', { hook, cycle: cycleAmong(waiting, earlier) });
    waiting.splice(waiting.indexOf(next), 1);
    placed.push({ ...next, why: whyHere(hook, next) });
  }
  return placed;

  function tapsOf(name: string, asking: Tap): readonly Tap[] {
    const plugin = name.replace(/\?$/, '');
    if (!name.endsWith('?') && !plugins.includes(plugin)) {
      throw failure('TAP_ORDER_UNKNOWN', { hook, plugin: asking.plugin, name, known: plugins.join(', ') });
    }
    return taps.filter((tap) => tap.plugin === plugin && tap !== asking);
  }
}

function named(tap: Tap, side: 'before' | 'after'): readonly string[] {
  return [tap.order[side] ?? []].flat();
}

/** Hooks inside of blocks, whose taps are recorded where blocks are compiled. */
const insideBlocks = ['readParameter', 'projection'];

function whyHere(hook: string, tap: Tap): string {
  const isEager = insideBlocks.includes(hook) && !tap.isCapturable;
  return isEager ? `${placeOf(tap)}; not capturable: blocks where it is called run eagerly` : placeOf(tap);
}

function placeOf(tap: Tap): string {
  const reasons = (['before', 'after'] as const).flatMap((side) => named(tap, side).map((name) => `${side} ${name}`));
  return reasons.length > 0 ? `asked to run ${reasons.join(', ')}` : 'in order of registration';
}

function cycleAmong(waiting: readonly Tap[], earlier: ReadonlyMap<Tap, ReadonlySet<Tap>>): string {
  const path: Tap[] = [];
  let at = waiting[0] as Tap;
  while (!path.includes(at)) {
    path.push(at);
    at = waiting.find((other) => earlier.get(at)?.has(other)) as Tap;
  }
  return [...path.slice(path.indexOf(at)), at].map((tap) => tap.plugin).join(' waits for ');
}
