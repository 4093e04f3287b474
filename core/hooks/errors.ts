import { defineErrors } from '../errors.ts';

export const failure = defineErrors({
  HOOK_FAILED: {
    fact: 'The plugin {plugin} failed in the hook {hook}{step}: {message}.',
    consequence: 'The run stops here.',
    remedy: 'The cause, with its own stack, is in `cause`: mend it in the plugin, or remove the plugin.',
  },
  HOOKS_FAILED: {
    fact: '{count} errors around the hook {hook}: {messages}.',
    consequence: 'The run stops here.',
    remedy: 'Mend the first; the others may follow from it. All are in `cause.errors`.',
  },
  HOOK_ASYNC: {
    fact: 'The plugin {plugin} taps {hook} with an async function.',
    consequence:
      'That hook runs inside differentiated code and waits for nothing: what the tap does later would be lost.',
    remedy: 'Make the tap synchronous, or do the waiting in an asynchronous hook such as stepBegin.',
  },
  HOOK_RETURNED_PROMISE: {
    fact: 'The tap of {plugin} on {hook} returned a promise.',
    consequence: 'That hook runs inside differentiated code and waits for nothing: the value would be lost.',
    remedy: 'Return the value itself, or do the waiting in an asynchronous hook such as stepBegin.',
  },
  HOOK_RETURNED_NULL: {
    fact: 'The tap of {plugin} on {hook} returned null.',
    consequence: 'It is not clear whether the value should be replaced or kept.',
    remedy: 'Return undefined to leave the value unchanged, or the new value.',
  },
  HOOK_DUPLICATE_PART: {
    fact: 'Both {first} and {plugin} give a part named {name} to {hook}.',
    consequence: 'One would hide the other.',
    remedy: 'Rename one of them, or remove one of the plugins.',
  },
  TAP_UNKNOWN_HOOK: {
    fact: 'The plugin {plugin} taps a hook {hook}, which does not exist.',
    consequence: 'Its function would never run.',
    remedy: 'Did you mean {nearest}? The hooks are listed in docs/hooks.md.',
  },
  TAP_FROZEN: {
    fact: 'The plugin {plugin} taps {hook} after the run was frozen.',
    consequence: 'The order of taps is settled before training starts, so the tap was not added.',
    remedy: 'Call hooks.{hook}.tap(...) directly in apply().',
  },
  TAP_ORDER_UNKNOWN: {
    fact: 'The plugin {plugin} wants its tap on {hook} placed relative to {name}, which is no plugin of this run.',
    consequence: 'Its place would be a guess.',
    remedy: "Write '{name}?' if the plugin may be absent. This run has: {known}.",
  },
  TAP_ORDER_CYCLE: {
    fact: 'The taps on {hook} cannot be ordered: {cycle}.',
    consequence: 'No order satisfies them all.',
    remedy: 'Remove one of the `before` or `after` options that form the circle.',
  },
});
