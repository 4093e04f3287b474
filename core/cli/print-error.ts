import { inspect } from 'node:util';
import { MooringError } from '../errors.ts';
import type { Terminal } from './main.ts';

const usageErrors = new Set(['COMMAND_OPTION_INVALID', 'SETTING_MALFORMED']);

/**
 * Writes an error as code, fact, consequence and remedy, with its stack and causes only where `isDebug`.
 * Returns the exit code: 2 for wrong usage, else 1.
 */
export function printError(error: unknown, terminal: Terminal, isDebug: boolean): number {
  if (isDebug) terminal.err(`${inspect(error)}\n`);
  if (!(error instanceof MooringError)) {
    const message = error instanceof Error ? error.message : String(error);
    terminal.err(`UNEXPECTED: ${message}\n  This is a defect in Mooring or in a plugin.\n`);
    if (!isDebug) terminal.err('  Run it again with --debug to see where it comes from.\n');
    return 1;
  }
  const { fact, consequence, remedy } = error.entry;
  const { plugin, hook, step } = error.place;
  const place = Object.entries({ plugin, hook, step }).flatMap(([name, at]) =>
    at === undefined ? [] : `${name} ${at}`,
  );
  terminal.err(`${[`${error.code}: ${fact}`, consequence, remedy].join('\n  ')}\n`);
  if (place.length > 0) terminal.err(`  (${place.join(', ')})\n`);
  return exitCodeOf(error);
}

/** 2 for wrong usage, else 1. */
export function exitCodeOf(error: unknown): number {
  return error instanceof MooringError && usageErrors.has(error.code) ? 2 : 1;
}
