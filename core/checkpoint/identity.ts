import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Session } from '../session.ts';
import { readVersion } from '../version.ts';
import type { State } from './state-file.ts';

/** Fields as text, so that they can be compared and shown. */
type Fields = Readonly<Record<string, string>>;

/**
 * What a run must share with the one whose checkpoint it goes on from: model, data, reference, train settings, and the
 * plugins with their options, but for those that preserve training. The number of steps may differ where no schedule depends on it.
 */
export function identityOf(session: Session): Fields {
  const { config, run, data, model, store, plugins, reference } = session;
  const { steps, epochs, evalEverySteps, saveDtype, engine, compile, recompute, ...train } = config.train;
  const shapes = store.names.map((name) => [name, store.spec(name).shape]);
  const chosen = plugins.filter(
    ({ definition }) => definition.preservesTraining !== true && definition.name !== 'core',
  );
  return flatten({
    model: model.description,
    computation: model.computation ?? 'not said',
    parameters: `${shapes.length}, ${sha256(JSON.stringify(shapes.sort())).slice(0, 12)}`,
    data: data.fingerprint,
    reference: { kind: reference?.kind ?? 'none', fingerprint: run.referenceAtStart ?? 'none' },
    steps: train.schedule === 'constant' ? 'any' : run.steps,
    train,
    plugins: chosen.map(({ definition }) => definition.name),
    ...Object.fromEntries(chosen.map(({ definition, options }) => [definition.name, options ?? {}])),
  });
}

/** What changes figures in their last digits only: how they are computed, not what. */
export function modeOf({ config, engine, run }: Pick<Session, 'config' | 'engine' | 'run'>): Fields {
  const { ranks } = run;
  const { compile, recompute } = config.train;
  const threads = process.env.TF_NUM_INTRAOP_THREADS ?? availableParallelism();
  // whether to compile, and to which lengths batches are padded, is decided by the steps to come
  const steps = engine.native === undefined || compile === 'off' ? undefined : run.steps;
  return flatten({ engine: `${engine.name} ${engine.version}`, compile, recompute, threads, ranks, steps });
}

/** All that decides what a run does, but for what is in files: the ranks of one run have it in common. */
export function fieldsOf({ config, data, engine, evaluationData, model, plugins }: Session): Fields {
  const chosen = plugins.filter(({ definition }) => definition.name !== 'core');
  return flatten({
    version: readVersion(),
    engine: `${engine.name} ${engine.version}`,
    model: model.description,
    computation: model.computation ?? 'not said',
    data: data.fingerprint,
    evalData: evaluationData?.fingerprint ?? 'none',
    output: config.output === undefined ? 'none' : 'a folder',
    train: config.train,
    plugins: chosen.map(({ definition }) => definition.name),
    ...Object.fromEntries(chosen.map(({ definition, options }) => [definition.name, options ?? {}])),
  });
}

/** Every field that two runs do not share, each as a clause: what it was, what it is. */
export function differencesOf(was: State['identity'], is: Fields): string[] {
  const fields = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  const differing = fields.filter((field) => was[field] !== is[field]);
  return differing.map((field) => `${field} was ${was[field] ?? 'not set'} and is ${is[field] ?? 'not set'}`);
}

function flatten(value: object, prefix = ''): Fields {
  const entries = Object.entries(value).flatMap(([name, each]): [string, string][] => {
    const field = `${prefix}${name}`;
    const isPlain = typeof each === 'object' && each !== null && !Array.isArray(each);
    if (isPlain) return Object.entries(flatten(each, `${field}.`));
    return each === undefined ? [] : [[field, textOf(each)]];
  });
  return Object.fromEntries(entries);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
