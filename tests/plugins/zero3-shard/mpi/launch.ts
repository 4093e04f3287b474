import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Task } from './rank.ts';

/** How the two families of MPI start processes, and how their launchers say which they are. */
const launchers = {
  'Open MPI': {
    commands: ['mpirun.openmpi', 'mpirun'],
    says: /Open MPI|OpenRTE/,
    options: ['--allow-run-as-root', '--oversubscribe'],
  },
  MPICH: { commands: ['mpiexec.mpich', 'mpiexec.hydra', 'mpiexec'], says: /HYDRA/, options: [] },
} as const;

export type Launcher = keyof typeof launchers;

/** The family that is tested: `MPI=MPICH` for the other. */
export const launcher: Launcher = process.env.MPI === 'MPICH' ? 'MPICH' : 'Open MPI';

/** The beginning of a command line; undefined where there is no such launcher. */
export const launchCommand: readonly string[] | undefined = findCommand();

/** The name of a test that is skipped for want of a launcher. */
export const skipped = `skipped: there is no mpirun of ${launcher} here`;

function findCommand(): readonly string[] | undefined {
  const { commands, says, options } = launchers[launcher];
  const found = commands.find((command) => says.test(String(spawnSync(command, ['--version']).stdout)));
  return found === undefined ? undefined : [found, ...options];
}

/** Ranks under a launcher, which do what the test says. */
export class LaunchedRanks {
  /** What each said and nobody took. */
  private readonly said: Record<string, unknown>[][];
  private readonly sockets: Socket[] = [];
  private readonly wake = new EventTarget();
  private readonly ended: Promise<number | null>;
  /** What the launcher and the ranks printed. */
  output = '';

  private constructor(launched: ChildProcess, ranks: number) {
    this.said = Array.from({ length: ranks }, () => []);
    for (const stream of [launched.stdout, launched.stderr]) stream?.on('data', (text) => (this.output += text));
    this.ended = once(launched, 'close').then(([code]) => code as number | null);
  }

  static async launch(
    ranks: number,
    settings: readonly number[] = [],
    command: readonly string[] = launchCommand ?? [],
  ): Promise<LaunchedRanks> {
    const folder = mkdtempSync(path.join(tmpdir(), 'ranks-'));
    const server = createServer();
    const socketPath = path.join(folder, 'socket');
    server.listen(socketPath);
    await once(server, 'listening');
    const [launches = '', ...options] = command;
    const rank = [path.join(import.meta.dirname, 'rank.ts'), socketPath, ...settings.map(String)];
    const program = [process.execPath, '--import', import.meta.resolve('mooring/register'), ...rank];
    const launched = spawn(launches, [...options, '-n', String(ranks), ...program]);
    const all = new LaunchedRanks(launched, ranks);
    server.on('connection', (socket) => all.welcome(socket));
    const here = Promise.all(Array.from({ length: ranks }, (_, index) => all.next(index)));
    const early = all.ended.then((code) => {
      throw new Error(`the ranks ended with ${code}: ${all.output}`);
    });
    early.catch(() => undefined);
    await Promise.race([here, early]);
    server.close();
    rmSync(folder, { recursive: true });
    return all;
  }

  tell(task: Task, ranks: Iterable<number> = this.sockets.keys()): void {
    for (const rank of ranks) this.sockets[rank]?.write(`${JSON.stringify(task)}\n`);
  }

  /** What a rank says next. */
  async next(rank: number): Promise<Record<string, unknown>> {
    while (this.said[rank]?.length === 0) await once(this.wake, 'said');
    return this.said[rank]?.shift() as Record<string, unknown>;
  }

  /** The first of what a rank says that `isIt`. */
  async until(rank: number, isIt: (said: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const said = await this.next(rank);
      if (isIt(said)) return said;
    }
  }

  /** The exit code of the launcher, once all have ended. */
  end(): Promise<number | null> {
    return this.ended;
  }

  private welcome(socket: Socket): void {
    let own: number | undefined;
    socket.on('error', () => undefined);
    createInterface({ input: socket }).on('line', (line) => {
      const message = JSON.parse(line) as Record<string, unknown>;
      if (own === undefined) {
        own = message.rank as number;
        this.sockets[own] = socket;
      }
      this.said[own]?.push(message);
      this.wake.dispatchEvent(new Event('said'));
    });
  }
}
