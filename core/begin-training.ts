import type { Batch } from './batch.ts';
import { trainingPasses } from './coming-passes.ts';
import { checkReference } from './provenance.ts';
import type { Rows } from './rows.ts';
import type { Session } from './session.ts';

/** How many batches are looked at for the lengths of sequences. */
const sampledBatches = 64;

/** What comes before the first step, once its batches are there: the reference is shown, and the driver told what will come. */
export async function beginTraining(session: Session, batch: Batch): Promise<void> {
  // one that resumes has trained already
  if (session.resumeFrom === undefined) await checkReference(session, batch);
  await session.driver.prepare?.({ steps: session.run.steps, sample: () => sampleRows(session) });
}

/** Rows of the first batches, as their passes will have them, after the `batch` taps. */
async function sampleRows(session: Session): Promise<Rows[][]> {
  const sample: Rows[][] = [];
  for await (const requests of trainingPasses(session)) {
    sample.push([...new Set(requests.map(({ rows }) => rows))]);
    if (sample.length >= sampledBatches) break;
  }
  return sample;
}
