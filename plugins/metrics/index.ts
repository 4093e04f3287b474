import path from 'node:path';
import { Clock, DataSource, definePlugin, Engine, inputTokens, MooringError, optional, Reference } from 'mooring';
import { MetricsFile } from './metrics-file.ts';
import { prepareFolder, type Summary, writeSummary } from './summary.ts';

/** Writes the figures of every step to `metrics.jsonl`, and what the run was to `summary.json`. */
export const metrics = definePlugin({
  name: 'metrics',
  apiVersion: 1,
  uses: { clock: Clock, data: DataSource, engine: Engine, reference: optional(Reference) },
  ranks: 'first',
  apply({ hooks, services, log }) {
    const now = () => services.clock.now() / 1000;
    const seconds = { setup: 0, begin: 0, end: 0 };
    let file: MetricsFile | undefined;
    let tokens = 0;
    let epoch = 0;
    let reference: Summary['reference'] = null;
    let error: Summary['error'] = null;

    hooks.setup.tap(() => {
      seconds.setup = now();
    });
    hooks.trainBegin.tap(async ({ run: { config } }) => {
      seconds.begin = now();
      if (config.output === undefined) return;
      const kept = await prepareFolder(config.output);
      if (kept.length > 0) log.info({ kept }, `the figures of an earlier run are kept as ${kept.join(' and ')}`);
      file = new MetricsFile(path.join(config.output, 'metrics.jsonl'));
    });
    hooks.stepBegin.tap(({ microBatches }) => {
      tokens += inputTokens(microBatches);
      epoch = ((microBatches.at(-1)?.position ?? -1) + 1) / services.data.batchesPerEpoch;
    });
    hooks.stepEnd.tap(({ step, record }) => file?.append({ step: step.index, ...record, epoch, num_tokens: tokens }));
    hooks.evaluated.tap(({ figures, step }) => file?.append({ step, ...figures, epoch }));
    hooks.trainEnd.tap(async () => {
      seconds.end = now();
      if (file === undefined || services.reference === undefined) return;
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
        tokensPerSecond: tokens / ((seconds.end || now()) - seconds.begin),
        peakTensorBytes: services.engine.peakBytes(),
        peakBytes: process.resourceUsage().maxRSS * 1024,
        reference,
        ledger: run.ledger(),
      });
    });
  },
});
