import { failure } from './failure.ts';
import type { StepRecord } from './hook-arguments.ts';
import { type Figures, reduceFigures, runMicroStep } from './micro-step.ts';
import { type Session, stepAt } from './session.ts';
import { settingsOf } from './trainer.ts';

/**
 * Runs the objective over the evaluation data, without gradients and dropout, and adds what the `evaluate` taps give.
 * Figures are weighted means over all rows, under the training names with `eval_` before them.
 */
export async function evaluate(session: Session): Promise<StepRecord> {
  const { evaluationData, hooks, run } = session;
  if (evaluationData === undefined) throw failure('NO_EVALUATION_DATA', {});
  const settings = settingsOf(session, stepAt(session, Math.max(run.step, 1)));
  const all: Figures[] = [];
  // leaving the loop, however, closes the source
  for await (const batch of evaluationData.open(0)) {
    const micro = { batch, settings, step: undefined, counts: batch.counts, isTraining: false };
    const figures = await runMicroStep(session, micro);
    all.push({ ...figures, loss: { value: figures.loss?.value ?? 0, reduce: 'mean', weight: batch.counts.row } });
    if (all.length >= evaluationData.batchesPerEpoch) break;
  }
  const own = Object.entries(reduceFigures(all)).map(([name, value]) => [`eval_${name}`, value] as const);
  const figures = { ...Object.fromEntries(own), ...(await hooks.evaluate({ run })) };
  run.evaluation = figures;
  await hooks.evaluated({ figures, step: run.step });
  return figures;
}
