import type { Batch } from './batch.ts';
import { failure } from './failure.ts';
import type { Step } from './hook-arguments.ts';
import { batchesTaken, countSteps, type Session, stepAt } from './session.ts';

/** A step that is to be taken, and all its micro-batches, after their taps. */
export interface FetchedStep {
  readonly step: Step;
  readonly microBatches: readonly Batch[];
}

/**
 * The steps of a run that are still to be taken, until it is asked to stop. Every micro-batch of a step is fetched before its first forward, so
 * that normalisers are those of one large batch, and no step spans epochs. Throws DATA_ENDED.
 */
export async function* readSteps(session: Session): AsyncGenerator<FetchedStep> {
  const { run, config, data, ledger } = session;
  const { gradientAccumulationSteps } = config.train;
  const { perEpoch, steps } = countSteps(config, data.batchesPerEpoch);
  const batches = readAhead(session);
  try {
    for (let index = run.step + 1; index <= steps && !run.signal.aborted; index++) {
      const left = data.batchesPerEpoch - ((index - 1) % perEpoch) * gradientAccumulationSteps;
      const step = stepAt(session, index);
      const taken = take(batches, Math.min(gradientAccumulationSteps, left), step);
      yield { step, microBatches: await ledger.awaitData(taken) };
    }
  } finally {
    await batches.return(undefined);
  }
}

/** The batches after their taps, one being made while the step before it runs. */
async function* readAhead(session: Session): AsyncGenerator<Batch> {
  const { data, hooks, random, run } = session;
  const source = data.open(batchesTaken(session, run.step));
  const fetch = async () => {
    const { value } = await source.next();
    return value === undefined ? undefined : hooks.batch(value, { position: value.position, random });
  };
  let next = fetch();
  try {
    for (let batch = await next; batch !== undefined; batch = await next) {
      next = fetch();
      next.catch(() => undefined); // it is thrown where it is awaited; until then it is not unhandled
      yield batch;
    }
  } finally {
    await Promise.allSettled([next]); // its taps must not run on beside the end of the run
    await source.return?.();
  }
}

async function take(batches: AsyncGenerator<Batch>, count: number, step: Step): Promise<Batch[]> {
  const taken: Batch[] = [];
  while (taken.length < count) {
    const { value, done } = await batches.next();
    if (done) throw failure('DATA_ENDED', { step: step.index, steps: step.steps });
    taken.push(value);
  }
  return taken;
}
