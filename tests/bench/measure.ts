import { execFileSync, spawnSync } from 'node:child_process';
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

/** The same by so many processes under `mpirun`, of which the first says it for all. */
export function measureProcesses<Told = Timed>(ranks: number, script: string, args: readonly string[]): Told {
  const bootstrap = path.join(here, '../../core/cli/register.js');
  const program = [process.execPath, '--import', bootstrap, path.join(here, script), ...args];
  return lastLine('mpirun', ['-n', String(ranks), ...program], openMpi);
}

/** Whether processes can be started so. */
export const hasMpirun = spawnSync('mpirun', ['--version']).status === 0;

/** More ranks than cores, as any user, on any core: what other implementations do unasked. */
const openMpi = {
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
} as const;

/** Runs a peer's script with the Python of `PEERS_HOME`, by `torchrun` where it has ranks. Ends the process if there is none. */
export function measurePeer(peersHome: string, script: string, args: readonly string[], ranks = 1): Timed {
  const python = path.join(peersHome, 'venv/bin/python');
  if (!existsSync(python)) {
    console.error(`${python} does not exist. The peers cannot be timed. Make it as tests/bench/README.md says.`);
    process.exit(1);
  }
  const launched = ranks === 1 ? [] : ['-m', 'torch.distributed.run', '--nproc_per_node', String(ranks)];
  const program = [...launched, path.join(here, 'peers', script), ...args];
  const told = lastLine<Timed & Partial<Record<string, number>>>(python, program);
  const start = told.t_start ?? (told.t_import ?? 0) + (told.t_load ?? 0) + (told.t_ctor ?? 0);
  return { ...told, first_step_s: start + (told.first_ms ?? told.med_ms) / 1000 };
}

// where the script fails, its stderr is in the message of the error
function lastLine<Told>(command: string, args: readonly string[], added: NodeJS.ProcessEnv = {}): Told {
  const told = execFileSync(command, [...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...added },
  });
  const line = told.split('\n').findLast((each) => each.startsWith('{"'));
  return JSON.parse(line ?? '{}');
}
