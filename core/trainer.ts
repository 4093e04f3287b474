import type { Batch } from './batch.ts';
import { failure } from './failure.ts';
import type { Step } from './hook-arguments.ts';
import { loadModel } from './load-model.ts';
import { type Figures, reduceFigures, runMicroStep, totalCounts } from './micro-step.ts';
import { clipCoefficient } from './optim/clip.ts';
import { checkReference } from './provenance.ts';
import { countSteps, type Session } from './session.ts';
import type { Settings } from './tokens.ts';

/** The algorithm of preference tuning. Everything that is not here is a plugin's: losses, references, adapters, shards. */
export async function train(session: Session): Promise<void> {
  const { hooks, run, config, data, store, optimizer, reference, ledger, runner } = session;
  const { gradientAccumulationSteps, maxGradNorm, evalEverySteps } = config.train;
  const { perEpoch, steps } = countSteps(config, data.batchesPerEpoch);

  // shapes first, then weights, then the reference that is made of them
  await hooks.setup({ run });
  await loadModel(session, hooks);
  await hooks.refInit({ reference });
  await hooks.trainBegin({ run });

  const batches = readAhead(session);
  for (let index = 1; index <= steps && !run.signal.aborted; index++) {
    const epoch = Math.floor((index - 1) / perEpoch);
    const step: Step = { index, steps, epoch };
    runner.step = index;
    ledger.beginStep();

    // every micro-batch before the first forward: normalisers are those of one large batch, and no step spans epochs
    const left = data.batchesPerEpoch - ((index - 1) % perEpoch) * gradientAccumulationSteps;
    const microBatches = await take(batches, Math.min(gradientAccumulationSteps, left));
    const counts = totalCounts(microBatches);
    const settings = settingsOf(session, step);
    if (index === 1) await checkReference(session, microBatches[0] as Batch);
    if ((index - 1) % perEpoch === 0) await hooks.epochBegin({ run, epoch });
    await hooks.stepBegin({ step, microBatches });

    // forward, loss and backward: gradients add up in the store
    const figures: Figures[] = [];
    for (const batch of microBatches) {
      figures.push(await runMicroStep(session, { batch, settings, step, counts, isTraining: true }));
    }

    // clip and step, unless a figure is not finite: then the weights stay as they are
    await hooks.gradientsReady({ gradients: store.gradients, step });
    const norm = store.gradients.globalNorm();
    await refuseNonFinite(session, step, microBatches, figures, norm);
    const { learningRate } = settings;
    optimizer.step(store.gradients, { learningRate, scale: clipCoefficient(norm, maxGradNorm) });
    store.gradients.clear();

    // the record speaks of the optimizer step, never of a micro-step
    const record = { ...reduceFigures(figures), grad_norm: norm, learning_rate: learningRate };
    run.record = record;
    run.step = index;
    await hooks.stepEnd({ step, record });
    if (index % perEpoch === 0) await hooks.epochEnd({ run, epoch });
    if (evalEverySteps !== undefined && index % evalEverySteps === 0) await run.evaluate();
  }
  await hooks.trainEnd({ run });
}

/** The live values of a step: the scheduled learning rate, and what the taps add. */
export function settingsOf({ schedule, run, hooks }: Session, step: Step): Settings {
  const learningRate = schedule.learningRate(step.index, step.steps);
  return hooks.settings({ learningRate }, { step, last: run.record });
}

/** The batches after their taps, one being made while the step before it runs. */
async function* readAhead({ data, hooks, random }: Session): AsyncGenerator<Batch> {
  const source = data.open(0);
  const fetch = async () => {
    const { value } = await source.next();
    return value === undefined ? undefined : hooks.batch(value, { position: value.position, random });
  };
  let next = fetch();
  for (let batch = await next; batch !== undefined; batch = await next) {
    next = fetch();
    next.catch(() => undefined); // it is thrown where it is awaited; until then it is not unhandled
    yield batch;
  }
}

async function take(batches: AsyncGenerator<Batch>, count: number): Promise<Batch[]> {
  const taken: Batch[] = [];
  while (taken.length < count) {
    const { value, done } = await batches.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
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
