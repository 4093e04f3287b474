import type { Decoration, Provision, Uses } from './plugin.ts';
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

/** Without fallbacks that others make needless, and what is replaced before what replaces it, whatever the order of the plugins. */
export function providersOf(provided: readonly Provided[]): readonly Provided[] {
  const isNeeded = ({ token, provision }: Provided) =>
    !provision.isFallback || !provided.some((each) => each.token.symbol === token.symbol && !each.provision.isFallback);
  const isReplacing = ({ provision }: Provided) => Number(provision.replaces !== undefined);
  return provided.filter(isNeeded).toSorted((a, b) => isReplacing(a) - isReplacing(b));
}

/** The token of a use, and whether it may be absent. */
export function needed(use: Uses[string]): { token: Token<unknown>; isOptional: boolean } {
  return 'optional' in use ? { token: use.optional, isOptional: true } : { token: use, isOptional: false };
}
