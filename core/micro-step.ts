import type { Tensor } from '@tensorflow/tfjs';
import type { Batch } from './batch.ts';
import { failure } from './failure.ts';
import type { Step } from './hook-arguments.ts';
import type { DropoutKey, Outputs, Pass } from './model.ts';
import { scorePasses } from './score-passes.ts';
import type { Session } from './session.ts';
import type { LossInputs, LossTerm, Metric, PassRequest, Settings } from './tokens.ts';

/** Figures of a micro-batch with their weights: what a step or an evaluation averages. */
export type Figures = Readonly<Record<string, Metric & { readonly value: number }>>;

/** How a micro-batch is run. */
export interface MicroStep {
  readonly batch: Batch;
  readonly settings: Settings;
  readonly step: Step | undefined;
  /** What the loss terms are divided by: the counts of the whole step. */
  readonly counts: Readonly<Record<string, number>>;
  /** Whether the policy's passes are differentiated. */
  readonly isTraining: boolean;
}

/** Runs the passes that the objective asks for, the loss over them, and for training the backward passes. */
export async function runMicroStep(session: Session, micro: MicroStep): Promise<Figures> {
  const { driver, objective, hooks } = session;
  const outputs: Record<string, Outputs> = {};
  try {
    const passes = passesOf(session, micro);
    await scorePasses(session, passes, outputs);
    const inputs: LossInputs = { batch: micro.batch, outputs, settings: micro.settings };
    const seen = { ...inputs, step: micro.step };
    const terms = () => termsOf(objective.terms(inputs), hooks.lossTerms(seen));
    const figures = () => ({ ...objective.metrics?.(inputs), ...hooks.metrics(seen) });
    const loss = micro.isTraining
      ? await learn(session, micro, passes, outputs, terms)
      : driver.measure(() => ({ loss: { value: lossOf(terms(), micro), reduce: 'sum' } }));
    return { ...driver.measure(figures), ...loss };
  } finally {
    for (const each of Object.values(outputs)) for (const tensor of Object.values(each)) tensor.dispose();
    driver.release();
  }
}

async function learn(
  { driver }: Session,
  micro: MicroStep,
  passes: readonly Pass[],
  outputs: Readonly<Record<string, Outputs>>,
  terms: () => readonly LossTerm[],
): Promise<Figures> {
  const learning = passes.filter((pass) => pass.gradient);
  const keys = learning.map((pass) => pass.key);
  const { value, gradients } = driver.differentiate(outputs, keys, () => lossOf(terms(), micro));
  try {
    for (const pass of learning) await driver.backward(pass, gradients[pass.key] ?? {});
    return driver.measure(() => ({ loss: { value, reduce: 'sum' } }));
  } finally {
    for (const tensor of [value, ...Object.values(gradients).flatMap((each) => Object.values(each))]) tensor.dispose();
  }
}

/** The passes that the objective asks for. Throws OBJECTIVE_BATCH_KIND for a batch that it does not read. */
export function requestsOf({ objective }: Pick<Session, 'objective'>, batch: Batch): readonly PassRequest[] {
  if (batch.kind === objective.accepts) return objective.passes(batch);
  throw failure('OBJECTIVE_BATCH_KIND', { accepts: objective.accepts, kind: batch.kind });
}

function passesOf(session: Session, { batch, step, isTraining }: MicroStep): Pass[] {
  const { disableDropout, seed } = session.config.train;
  const dropout: DropoutKey | undefined =
    isTraining && !disableDropout && step ? { seed, step: step.index } : undefined;
  return requestsOf(session, batch).map(({ of, counted: _, ...request }) => {
    const isPolicy = of === 'policy';
    const outputs = [...new Set([...request.outputs, ...(request.differentiated ?? [])])];
    return { ...request, outputs, view: of, gradient: isPolicy && isTraining, dropout: isPolicy ? dropout : undefined };
  });
}

function termsOf(own: readonly LossTerm[], added: Readonly<Record<string, Omit<LossTerm, 'name'>>>): LossTerm[] {
  return [...own, ...Object.entries(added).map(([name, term]) => ({ name, ...term }))];
}

/** The sum of the terms, each divided by its count over the whole step: accumulation equals one large batch. */
function lossOf(terms: readonly LossTerm[], { counts }: MicroStep): Tensor {
  const divided = terms.map(({ name, sum, per }) => {
    const count = counts[per];
    if (count === undefined) throw failure('LOSS_COUNT_UNKNOWN', { name, per, known: Object.keys(counts).join(', ') });
    return sum.div<Tensor>(Math.max(count, 1));
  });
  return divided.reduce((total, term) => total.add(term));
}

/** The counts of several batches together. */
export function totalCounts(batches: readonly Batch[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const { counts } of batches) {
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  }
  return total;
}

/** One figure out of those of several micro-batches: a weighted mean, a sum, or the largest. */
export function reduceFigures(all: readonly Figures[]): Record<string, number> {
  const reduced: Record<string, number> = {};
  for (const name of new Set(all.flatMap((figures) => Object.keys(figures)))) {
    const found = all.flatMap((figures) => figures[name] ?? []);
    const sum = (of: (metric: Figures[string]) => number) => found.reduce((total, metric) => total + of(metric), 0);
    const weight = sum((metric) => metric.weight ?? 1);
    if (found[0]?.reduce === 'max') reduced[name] = Math.max(...found.map((metric) => metric.value));
    else if (found[0]?.reduce === 'sum') reduced[name] = sum((metric) => metric.value);
    else reduced[name] = weight === 0 ? 0 : sum((metric) => metric.value * (metric.weight ?? 1)) / weight;
  }
  return reduced;
}
