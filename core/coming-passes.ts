import type { ComingPasses } from './hook-arguments.ts';
import { requestsOf } from './micro-step.ts';
import type { Session } from './session.ts';
import type { PassRequest } from './tokens.ts';

/** What a run will score, read beside the run itself: its training batches, then those of its evaluations. */
export function comingPasses(session: Session): ComingPasses {
  const batches = trainingBatches(session) + (session.evaluationData?.batchesPerEpoch ?? 0);
  return {
    batches,
    async *[Symbol.asyncIterator]() {
      yield* trainingPasses(session);
      yield* evaluationPasses(session);
    },
  };
}

/** The passes of each batch of an epoch, or of the run if it has fewer, after the `batch` taps. */
export async function* trainingPasses(session: Session): AsyncGenerator<readonly PassRequest[]> {
  const { data, hooks, random } = session;
  const batches = trainingBatches(session);
  let read = 0;
  for await (const batch of data.open(0)) {
    yield requestsOf(session, await hooks.batch(batch, { position: batch.position, random }));
    if (++read >= batches) break;
  }
}

async function* evaluationPasses(session: Session): AsyncGenerator<readonly PassRequest[]> {
  const { evaluationData } = session;
  if (evaluationData === undefined) return;
  let read = 0;
  for await (const batch of evaluationData.open(0)) {
    yield requestsOf(session, batch);
    if (++read >= evaluationData.batchesPerEpoch) break;
  }
}

function trainingBatches({ config, data, run }: Session): number {
  return Math.min(data.batchesPerEpoch, run.steps * config.train.gradientAccumulationSteps);
}
