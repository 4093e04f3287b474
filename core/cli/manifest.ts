import { readFileSync } from 'node:fs';
import type { CommandArgument, CommandFlag } from '../command.ts';

/** A built-in plugin as plugins/manifest.json lists it, so that help and messages need not load it. */
export interface PluginSummary {
  readonly name: string;
  readonly summary: string;
  readonly isDefault: boolean;
  /** Names of the services that it provides. */
  readonly provides: readonly string[];
  readonly commands: readonly {
    readonly name: string;
    readonly description: string;
    readonly arguments?: readonly CommandArgument[];
    readonly flags: readonly CommandFlag[];
  }[];
}

/** The built-in plugins, the default ones first, in the order in which a run has them. */
export function readManifest(): readonly PluginSummary[] {
  return JSON.parse(readFileSync(new URL('../../plugins/manifest.json', import.meta.url), 'utf8'));
}
