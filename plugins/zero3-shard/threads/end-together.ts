import type { Worker } from 'node:worker_threads';
import type { Log } from 'mooring';
import type { Ended } from './start-ranks.ts';
import type { ThreadCollectives } from './thread-collectives.ts';

/** How long a rank may take to end by itself once another has failed; and once the first rank's program has ended too. */
const [graceMilliseconds, lastMilliseconds] = [5000, 1000];

/**
 * Sees to it that all ranks of a process end where one does not go on: `first`, which is in the main thread, and the
 * workers that `start` starts. The process lasts until the last of them has ended, and its exit code is not 0 if any
 * failed. Gives what to call once a failure is known: who does not end by itself then is ended.
 */
export function endTogether(
  first: ThreadCollectives,
  start: (ended: Ended) => readonly Worker[],
  log: Log,
): () => void {
  const failures: string[] = [];
  let workers: readonly Worker[] = [];
  let isEnding = false;
  const endWithin = (milliseconds: number) => {
    setTimeout(() => workers.map((worker) => worker.terminate()), milliseconds).unref();
  };
  const endAll = () => {
    if (!isEnding) endWithin(graceMilliseconds);
    isEnding = true;
  };
  workers = start((rank, cause, isError) => {
    if (isError) {
      failures.push(`rank ${rank} failed: ${cause}`);
      endAll();
    }
    first.fail(rank, cause);
  });

  // the first rank's program has ended when nothing but workers would keep the process alive
  for (const worker of workers) worker.unref();
  process.once('beforeExit', () => {
    for (const worker of workers) worker.ref();
    if (isEnding) endWithin(lastMilliseconds);
    first.fail(0, 'its program ended before that of the others');
  });
  process.once('exit', () => {
    if (first.isFailureKnown || failures.length === 0) return;
    for (const each of failures) log.error({}, each);
    process.exitCode = process.exitCode || 1;
  });
  return endAll;
}
