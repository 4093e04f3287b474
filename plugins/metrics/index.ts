import path from 'node:path';
import {
  Clock,
  DataSource,
  definePlugin,
  Engine,
  inputTokens,
  MooringError,
  optional,
  Reference,
  readPart,
} from 'mooring';
import { z } from 'zod';
import { keepSteps } from './keep-steps.ts';
import { MetricsFile } from './metrics-file.ts';
import { prepareFolder, type Summary, writeSummary } from './summary.ts';

const savedSchema = z.object({ tokens: z.number(), epoch: z.number(), last: z.string().optional() });

/**
 * Writes the figures of every step to `metrics.jsonl`, and what the run was to `summary.json`: the first rank does. The
 * others are asked for their part of the reference's fingerprint.
 */
export const metrics = definePlugin({
  name: 'metrics',
  apiVersion: 1,
  uses: { clock: Clock, data: DataSource, engine: Engine, reference: optional(Reference) },
  preservesTraining: true,
  apply({ hooks, services, log }) {
    const now = () => services.clock.now() / 1000;
    const seconds = { setup: 0, begin: 0, end: 0 };
    let file: MetricsFile | undefined;
    let tokens = 0;
    let tokensBefore = 0;
    let epoch = 0;
    /** The line that was written last: by it a run that resumes knows its file. */
    let last: string | undefined;
    let reference: Summary['reference'] = null;
    let error: Summary['error'] = null;

    hooks.setup.tap(() => {
      seconds.setup = now();
    });
    hooks.checkpointSave.tap(() => ({ metrics: { version: 1, json: { tokens, epoch, last } } }));
    hooks.checkpointLoad.tap(({ parts }) => {
      ({ tokens, epoch, last } = readPart(parts, 'metrics', 1, savedSchema)?.json ?? { tokens, epoch, last });
    });
    hooks.trainBegin.tap(async ({ run: { config, step, rank } }) => {
      seconds.begin = now();
      tokensBefore = tokens;
      if (config.output === undefined || rank > 0) return;
      const figures = path.join(config.output, 'metrics.jsonl');
      // a run that resumes goes on where its checkpoint was: what it wrote after that comes again
      const isResumed = step > 0 && (await keepSteps(figures, step, last));
      const kept = isResumed ? [] : await prepareFolder(config.output);
      if (kept.length > 0) log.info({ kept }, `the figures of an earlier run are kept as ${kept.join(' and ')}`);
      file = new MetricsFile(figures);
    });
    hooks.stepBegin.tap(({ microBatches }) => {
      tokens += inputTokens(microBatches);
      epoch = ((microBatches.at(-1)?.position ?? -1) + 1) / services.data.batchesPerEpoch;
    });
    hooks.stepEnd.tap(({ step, record }) => append({ step: step.index, ...record, epoch, num_tokens: tokens }));
    hooks.evaluated.tap(({ figures, step }) => append({ step, ...figures, epoch }));
    hooks.trainEnd.tap(async ({ run: { config } }) => {
      seconds.end = now();
      if (config.output === undefined || services.reference === undefined) return;
      const { kind } = services.reference;
      const bytesResident = services.reference.bytesResident();
      reference = { kind, fingerprint: await services.reference.fingerprint(), bytesResident };
    });
    hooks.failure.tap(({ error: cause }) => {
      const code = cause instanceof MooringError ? cause.code : 'UNEXPECTED';
      error = { code, message: cause instanceof Error ? cause.message : String(cause) };
    });
    hooks.teardown.tap(async ({ run }) => {
      if (file === undefined || run.config.output === undefined) return;
      file.close();
      await writeSummary(run.config.output, {
        steps: run.step,
        plannedSteps: run.steps,
        stopReason: run.signal.aborted ? String(run.signal.reason) : null,
        error,
        seconds: now() - seconds.setup,
        millisecondsAwaitingData: run.millisecondsAwaitingData,
        tokens,
        peakTensorBytes: services.engine.peakBytes(),
        tokensPerSecond: (tokens - tokensBefore) / ((seconds.end || now()) - seconds.begin),
        peakBytes: process.resourceUsage().maxRSS * 1024,
        reference,
        ledger: run.ledger(),
      });
    });

    function append(figures: Readonly<Record<string, number>>): void {
      last = file?.append(figures) ?? last;
    }
  },
});
