import { type HookName, hookNames } from '../lifecycle.ts';
import { definePlugin, type Plugin } from '../plugin.ts';

/** A call that a watcher saw: the hook, and the arguments of the tap as they were. */
export interface SeenCall {
  readonly hook: HookName;
  readonly args: readonly unknown[];
}

/** A plugin that taps every hook, changes nothing, and remembers each call in order. */
export function watch(name = 'watch'): {
  readonly plugin: Plugin;
  readonly calls: SeenCall[];
  readonly hooks: () => HookName[];
} {
  const calls: SeenCall[] = [];
  const define = definePlugin({
    name,
    apiVersion: 1,
    apply({ hooks }) {
      for (const hook of hookNames) {
        hooks[hook].tap((...args: readonly unknown[]) => {
          calls.push({ hook, args });
          return undefined;
        });
      }
    },
  });
  return { plugin: define(), calls, hooks: () => calls.map((call) => call.hook) };
}
