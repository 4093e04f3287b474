import { failure } from './failure.ts';
import type { StepRecord } from './hook-arguments.ts';
import { type Figures, reduceFigures, runMicroStep } from './micro-step.ts';
import type { Session } from './session.ts';
import { settingsOf } from './trainer.ts';

/**
 * Runs the objective over the evaluation data, without gradients and dropout, and adds what the `evaluate` taps give.
 * Figures are weighted means over all rows, under the training names with `eval_` before them.
 */
export async function evaluate(session: Session): Promise<StepRecord> {
  const { evaluationData, hooks, run } = session;
  if (evaluationData === undefined) throw failure('NO_EVALUATION_DATA', {});
  const step = { index: Math.max(run.step, 1), steps: run.steps, epoch: 0 };
  const settings = settingsOf(session, step);
  const all: Figures[] = [];
  const batches = evaluationData.open(0);
  for (let index = 0; index < evaluationData.batchesPerEpoch; index++) {
    const { value: batch } = await batches.next();
    const figures = await runMicroStep(session, {
      batch,
      settings,
      step: undefined,
      counts: batch.counts,
      isTraining: false,
    });
    all.push({ ...figures, loss: { value: figures.loss?.value ?? 0, reduce: 'mean', weight: batch.counts.row } });
  }
  await batches.return?.();
  const own = Object.entries(reduceFigures(all)).map(([name, value]) => [`eval_${name}`, value] as const);
  const figures = { ...Object.fromEntries(own), ...(await hooks.evaluate({ run })) };
  run.evaluation = figures;
  await hooks.evaluated({ figures, step: run.step });
  return figures;
}
