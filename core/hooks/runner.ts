import { MooringError } from '../errors.ts';
import { failure } from './errors.ts';
import type { Tap } from './order.ts';

/** Told before and after each tap, so that time and memory are attributed to plugins. */
export interface TapMeter {
  /** Returns what to call when the tap is done. */
  begin(plugin: string, hook: string): () => void;
}

/**
 * The one function through which every tap is called: it meters the tap, refuses promises and nulls where they would
 * be lost, and gives every error its code, plugin, hook, step and cause.
 */
export class TapRunner {
  step: number | undefined;
  /** Plugins whose taps are not called: on another rank than the first, those that run there only. */
  readonly silenced = new Set<string>();
  private meter: TapMeter | undefined;

  useMeter(meter: TapMeter): void {
    this.meter = meter;
  }

  run<Result>(hook: string, isSync: boolean, tap: Tap, call: () => Result): Result {
    if (this.silenced.has(tap.plugin)) return undefined as Result;
    const done = this.meter?.begin(tap.plugin, hook);
    try {
      const result = call();
      if (!isThenable(result)) return this.finish(hook, tap, result, done);
      const settled = Promise.resolve(result);
      if (!isSync) {
        const finished = settled.then((value) => this.finish(hook, tap, value, done));
        return finished.catch((error) => this.fail(hook, tap, error, done)) as Result;
      }
      settled.catch(() => undefined); // its rejection is not the error to report
      throw failure('HOOK_RETURNED_PROMISE', { plugin: tap.plugin, hook });
    } catch (error) {
      return this.fail(hook, tap, error, done);
    }
  }

  private finish<Result>(hook: string, tap: Tap, result: Result, done: (() => void) | undefined): Result {
    if (result === null) throw failure('HOOK_RETURNED_NULL', { plugin: tap.plugin, hook });
    done?.();
    return result;
  }

  private fail(hook: string, tap: Tap, error: unknown, done: (() => void) | undefined): never {
    done?.();
    const at = runsAhead(hook) ? undefined : this.step;
    const place = { plugin: tap.plugin, hook, step: at };
    if (error instanceof MooringError) {
      if (error.place.plugin !== undefined) throw error;
      throw new MooringError(error.code, error.entry, { details: error.details, place, cause: error });
    }
    const message = error instanceof Error ? error.message : String(error);
    const step = at === undefined ? '' : ` at step ${at}`;
    throw failure('HOOK_FAILED', { plugin: tap.plugin, hook, step, message }, { cause: error, place });
  }
}

/** `batch` runs beside the step before its own: neither the step in progress nor what comes to be meanwhile is its doing. */
export function runsAhead(hook: string): boolean {
  return hook === 'batch';
}

function isThenable(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
