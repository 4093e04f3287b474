import type { Batch } from './batch.ts';
import { beginTraining } from './begin-training.ts';
import { restoreState } from './checkpoint/restore-state.ts';
import { failure } from './failure.ts';
import type { Step } from './hook-arguments.ts';
import { loadModel } from './load-model.ts';
import { type Figures, reduceFigures, runMicroStep, totalCounts } from './micro-step.ts';
import { clipCoefficient } from './optim/clip.ts';
import { readSteps } from './read-steps.ts';
import { countSteps, type Session } from './session.ts';
import type { Settings } from './tokens.ts';

/** The algorithm of preference tuning. Everything that is not here is a plugin's: losses, references, adapters, shards. */
export async function train(session: Session): Promise<void> {
  const { hooks, run, config, data, evaluationData, store, optimizer, reference, ledger, runner } = session;
  const { maxGradNorm, evalEverySteps } = config.train;
  const { perEpoch } = countSteps(config, data.batchesPerEpoch);

  // shapes first, then weights, then the reference that is made of them, and only then what a checkpoint holds
  await hooks.setup({ run });
  await loadModel(session, hooks);
  await hooks.refInit({ reference });
  await restoreState(session);
  await hooks.trainBegin({ run });
  if (evalEverySteps !== undefined && evaluationData === undefined) throw failure('NO_EVALUATION_DATA', {});
  if (!store.names.some((name) => store.isTrainable(name))) throw failure('NOTHING_TRAINABLE', {});

  const first = run.step + 1;
  for await (const { step, microBatches } of readSteps(session)) {
    const { index, epoch } = step;
    run.isMidStep = true;
    runner.step = index;
    ledger.beginStep();

    if (index === first) await beginTraining(session, microBatches[0] as Batch);
    if ((index - 1) % perEpoch === 0) await hooks.epochBegin({ run, epoch });
    await hooks.stepBegin({ step, microBatches });

    // forward, loss and backward, divided by the counts of the whole step: gradients add up in the store
    const settings = settingsOf(session, step);
    const counts = totalCounts(microBatches);
    const figures: Figures[] = [];
    for (const batch of microBatches) {
      figures.push(await runMicroStep(session, { batch, settings, step, counts, isTraining: true }));
    }

    // add them over ranks, clip and step, unless a figure is not finite: then the weights stay as they are
    await store.gradients.complete?.();
    await hooks.gradientsReady({ gradients: store.gradients, step });
    const norm = await store.gradients.globalNorm();
    await refuseNonFinite(session, step, microBatches, figures, norm);
    const { learningRate } = settings;
    optimizer.step(store.gradients, { learningRate, scale: clipCoefficient(norm, maxGradNorm) });
    store.gradients.clear();

    // the record speaks of the optimizer step, never of a micro-step
    const record = { ...reduceFigures(figures), grad_norm: norm, learning_rate: learningRate };
    run.record = record;
    run.step = index;
    await hooks.stepEnd({ step, record });
    await run.agreeOnStop();
    if (index % perEpoch === 0) await hooks.epochEnd({ run, epoch });
    const isLast = index === run.steps || run.signal.aborted;
    if (evaluationData !== undefined && (isLast || index % (evalEverySteps ?? Infinity) === 0)) await run.evaluate();
    run.isMidStep = false;
    await hooks.betweenSteps({ run });
  }
  await hooks.trainEnd({ run });
}

/** The live values of a step: the scheduled learning rate, and what the taps add. */
export function settingsOf({ schedule, run, hooks }: Session, step: Step): Settings {
  const learningRate = schedule.learningRate(step.index, step.steps);
  return hooks.settings({ learningRate }, { step, last: run.record });
}

async function refuseNonFinite(
  session: Session,
  step: Step,
  batches: readonly Batch[],
  all: readonly Figures[],
  norm: number,
) {
  const at = all.findIndex((figures) => !Number.isFinite(figures.loss?.value));
  if (at < 0 && Number.isFinite(norm)) return;
  const figure =
    at < 0
      ? { figure: 'norm of the gradients', value: norm }
      : { figure: 'loss', value: all[at]?.loss?.value ?? Number.NaN };
  const rows = at < 0 ? batches.map((batch) => batch.origin).join('; ') : (batches[at]?.origin ?? '');
  session.store.gradients.clear();
  throw failure('NON_FINITE_LOSS', { step: step.index, ...figure, rows, saved: await session.saveLastGood() });
}
