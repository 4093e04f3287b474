import { type Driver, divergenceNames, type Log, type PassRequest, type Run } from 'mooring';
import type { CachedReference } from './cached-reference.ts';

/** Scores whatever the run will ask of the reference and the cache does not hold, and then lets the reference go. */
export async function scoreAhead(run: Run, reference: CachedReference, driver: Driver, log: Log): Promise<void> {
  const passes = run.passes();
  const { batches } = passes;
  let seen = 0;
  let scored = 0;
  for await (const requests of passes) {
    // the step that follows refuses it, and need not wait for all the data
    if (requests.some(isCompared)) return;
    for (const { of, ...request } of requests) {
      if (of !== 'reference' || (await reference.knows(request))) continue;
      const outputs = await reference.score({ ...request, view: 'reference', gradient: false });
      for (const tensor of Object.values(outputs)) tensor.dispose();
      driver.release();
      scored++;
    }
    // the run ends after this step, for which the reference is still there
    if (await run.agreeOnStop()) return;
    const isTenth = Math.floor((10 * ++seen) / batches) > Math.floor((10 * (seen - 1)) / batches);
    if (isTenth && scored > 0)
      log.info({ seen, batches, scored }, `ref-cache: ${seen} of ${batches} batches scored ahead`);
  }
  reference.letInnerGo();
  const { over } = reference;
  log.info({ over, batches, scored }, `ref-cache: of ${batches} batches ${scored} had to be scored with ${over}`);
}

/** Whether a pass compares with a prediction over the vocabulary, which no cache holds. */
function isCompared({ of, outputs, differentiated = [] }: PassRequest): boolean {
  return of === 'policy' && divergenceNames.some((name) => [...outputs, ...differentiated].includes(name));
}
