import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Timed } from './clock.ts';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Runs a script of this folder in its own process and returns what it says of its steps. */
export function measureOurs<Told = Timed>(script: string, args: readonly string[]): Told {
  const bootstrap = path.join(here, '../../core/cli/register.js');
  return lastLine(process.execPath, ['--import', bootstrap, path.join(here, script), ...args]);
}

/** Runs a peer's script with the Python of `PEERS_HOME`. Ends the process if there is none. */
export function measurePeer(peersHome: string, script: string, args: readonly string[]): Timed {
  const python = path.join(peersHome, 'venv/bin/python');
  if (!existsSync(python)) {
    console.error(`${python} does not exist. The peers cannot be timed. Make it as tests/bench/README.md says.`);
    process.exit(1);
  }
  const told = lastLine<Timed & Partial<Record<string, number>>>(python, [path.join(here, 'peers', script), ...args]);
  const start = told.t_start ?? (told.t_import ?? 0) + (told.t_load ?? 0) + (told.t_ctor ?? 0);
  return { ...told, first_step_s: start + (told.first_ms ?? told.med_ms) / 1000 };
}

// where the script fails, its stderr is in the message of the error
function lastLine<Told>(command: string, args: readonly string[]): Told {
  const told = execFileSync(command, [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  return JSON.parse(told.trim().split('\n').at(-1) ?? '{}');
}
