import { type MessagePort, workerData } from 'node:worker_threads';
import type { MpiEnvironment } from './environment.ts';
import { openLibrary } from './library.ts';
import type { Flaw, Reply } from './orders.ts';
import { flawOf, Progress, type ProgressSettings } from './progress.ts';

/** What the thread that talks to MPI is started with. */
export interface ThreadData {
  readonly port: MessagePort;
  readonly environment: MpiEnvironment;
  readonly settings: ProgressSettings;
  /** Becomes 1 when MPI has ended: what the main thread waits for before the process ends. */
  readonly ended: Int32Array;
}

const { port, environment, settings, ended } = workerData as ThreadData;
const say = (reply: Reply) => port.postMessage(reply);

try {
  const mpi = openLibrary(environment.launcher);
  const found = mpi.initialize();
  if (found.rank !== environment.rank || found.ranks !== environment.ranks) {
    const { launcher, rank, ranks } = environment;
    const details = { launcher, rank, ranks, library: mpi.name, foundRank: found.rank, foundRanks: found.ranks };
    mpi.finalize();
    throw { code: 'MPI_WORLD_DIFFERS', details } satisfies Flaw;
  }
  const progress = new Progress(mpi, port, settings);
  say({ kind: 'ready' });
  progress.finish(progress.run());
} catch (error) {
  say({ kind: 'broken', flaw: flawOf(error) });
} finally {
  Atomics.store(ended, 0, 1);
  Atomics.notify(ended, 0);
}
