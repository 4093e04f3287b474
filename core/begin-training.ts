import type { Batch } from './batch.ts';
import { requestsOf } from './micro-step.ts';
import { checkReference } from './provenance.ts';
import type { Rows } from './rows.ts';
import type { Session } from './session.ts';

/** How many batches are looked at for the lengths of sequences. */
const sampledBatches = 64;

/** What comes before the first step, once its batches are there: the reference is shown, and the driver told what will come. */
export async function beginTraining(session: Session, batch: Batch): Promise<void> {
  await checkReference(session, batch);
  await session.driver.prepare?.({ steps: session.run.steps, sample: () => sampleRows(session) });
}

/** Rows of the first batches, as their passes will have them, after the `batch` taps. */
async function sampleRows(session: Session): Promise<Rows[][]> {
  const { config, data, hooks, random, run } = session;
  const coming = Math.min(data.batchesPerEpoch, run.steps * config.train.gradientAccumulationSteps);
  const sample: Rows[][] = [];
  for await (const batch of data.open(0)) {
    const tapped = await hooks.batch(batch, { position: batch.position, random });
    sample.push([...new Set(requestsOf(session, tapped).map(({ rows }) => rows))]);
    if (sample.length >= Math.min(sampledBatches, coming)) break;
  }
  return sample;
}
