import { failure } from './failure.ts';
import type { Hooks } from './hooks/registry.ts';
import { type HookName, hookNames, hookTable } from './lifecycle.ts';
import type { ChosenPlugin } from './plugin.ts';
import type { Decorated, Provided } from './providers.ts';

/** Hooks that ignore what a tap returns, but hand it what it can change the training with. */
const changing: readonly HookName[] = ['modelDefined', 'gradientsReady'];

/**
 * Makes sure that plugins with `ranks: 'first'` only watch: what they changed, the other ranks would not have, and weights
 * of two trainings would be mixed. Throws RANKS_FIRST_CHANGES.
 */
export function refuseChangesOnFirst(
  plugins: readonly ChosenPlugin[],
  hooks: Hooks,
  services: readonly (Provided | Decorated)[],
): void {
  const isChanging = (hook: HookName) => hookTable[hook].returns !== undefined || changing.includes(hook);
  for (const { name } of plugins.map(({ definition }) => definition).filter(({ ranks }) => ranks === 'first')) {
    const hook = hookNames.find((each) => isChanging(each) && hooks.tapsOf(each).some(({ plugin }) => plugin === name));
    if (hook !== undefined) throw failure('RANKS_FIRST_CHANGES', { plugin: name, what: `taps the hook ${hook}` });
    const made = services.find(({ plugin }) => plugin === name);
    if (made === undefined) continue;
    const what = `${'provision' in made ? 'provides' : 'decorates'} the service ${made.token.name}`;
    throw failure('RANKS_FIRST_CHANGES', { plugin: name, what });
  }
}
