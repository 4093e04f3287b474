import { existsSync } from 'node:fs';
import { checkpointFolder, definePlugin, EvaluationData, MooringError, optional, type Run, readPart } from 'mooring';
import { z } from 'zod';
import { type BestFigure, isBetter } from './best.ts';
import { failure } from './errors.ts';
import { prune, setLaterAside } from './folders.ts';

const bestSchema = z.object({ step: z.number(), value: z.number() });
const figureSchema = z.string().startsWith('eval_');

/** Saves the state of the run every so many steps, so that it can go on after a kill as if nothing had happened. */
export const checkpoint = definePlugin({
  name: 'checkpoint',
  apiVersion: 1,
  preservesTraining: true,
  options: z.strictObject({
    everySteps: z.int().positive().default(500),
    keepLast: z.int().positive().default(2),
    keepBest: z
      .union([figureSchema, z.strictObject({ figure: figureSchema, mode: z.enum(['min', 'max']) })])
      .optional(),
  }),
  uses: { evaluationData: optional(EvaluationData) },
  apply({ hooks, options, services, log }) {
    const { everySteps, keepLast, keepBest } = options;
    const judged: BestFigure | undefined = typeof keepBest === 'string' ? { figure: keepBest } : keepBest;
    let best: z.output<typeof bestSchema> | undefined;
    /** The best whose checkpoint is on disk, and the last step of which nothing is left to save. */
    let onDisk: typeof best;
    let done = 0;

    hooks.checkpointSave.tap(() => ({ checkpoint: { version: 1, json: { best } } }));
    hooks.checkpointLoad.tap(({ parts }) => {
      best = readPart(parts, 'checkpoint', 1, z.object({ best: bestSchema.optional() }))?.json.best;
      onDisk = best;
    });
    hooks.trainBegin.tap(async ({ run: { config, step, rank } }) => {
      if (config.output === undefined) throw failure('CHECKPOINT_NO_OUTPUT', {});
      if (judged !== undefined && services.evaluationData === undefined) {
        const details = { reason: 'an evaluation gives, and there is no evaluation data', known: 'its figures' };
        throw failure('CHECKPOINT_BEST_UNKNOWN', { figure: judged.figure, ...details });
      }
      done = step;
      if (rank > 0) return; // ranks may share the disk
      // one that goes on from a checkpoint elsewhere has none of its own here
      const isFromHere = existsSync(checkpointFolder(config.output, step));
      const aside = await setLaterAside(config.output, isFromHere ? step : 0);
      if (aside !== undefined) log.info({ aside }, `checkpoints of an earlier run are kept in ${aside}`);
    });
    hooks.evaluated.tap(({ figures, step }) => {
      if (judged === undefined) return;
      const value = figures[judged.figure];
      if (value === undefined) {
        const details = { reason: 'the evaluation did not give', known: Object.keys(figures).join(', ') };
        throw failure('CHECKPOINT_BEST_UNKNOWN', { figure: judged.figure, ...details });
      }
      if (isBetter(judged, value, best?.value)) best = { step, value };
    });
    hooks.betweenSteps.tap(async ({ run }) => {
      const isEnd = run.step === run.steps || run.signal.aborted;
      if (isEnd || run.step % everySteps === 0 || best?.step === run.step) await save(run);
    });
    // asked to stop after the last of `betweenSteps`
    hooks.trainEnd.tap(async ({ run }) => {
      if (run.step !== done && run.signal.aborted) await save(run);
    });

    async function save(run: Run): Promise<void> {
      const output = run.config.output as string;
      const folder = checkpointFolder(output, run.step);
      done = run.step;
      try {
        await run.saveState(folder);
      } catch (error) {
        if (!(error instanceof MooringError && isDisk.has(error.code))) throw error;
        if (best?.step === run.step) best = onDisk;
        // what was trained is worth more than the checkpoint: the former one stays, and the next is tried
        log.error(
          { error, step: run.step },
          `no checkpoint of step ${run.step}: ${error.message} The former ones are kept.`,
        );
        return;
      }
      onDisk = best;
      log.debug({ step: run.step, folder }, `saved ${folder}`);
      if (run.rank === 0) await prune(output, { keepLast, best: best?.step });
    }
  },
});

const isDisk: ReadonlySet<string> = new Set(['DISK_FULL', 'WRITE_FAILED']);
