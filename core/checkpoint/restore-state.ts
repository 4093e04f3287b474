import { dispose, type Tensor } from '@tensorflow/tfjs';
import type { Range } from '../collectives/collectives.ts';
import { together } from '../collectives/together.ts';
import type { CheckpointPart } from '../hook-arguments.ts';
import { isWhole } from '../parameters/part-of.ts';
import type { Session } from '../session.ts';
import type { ParameterStore } from '../tokens.ts';
import { failure } from './errors.ts';
import { type FolderOfRanks, openFolder } from './folder-of-ranks.ts';
import { frozenFingerprint } from './frozen.ts';
import { differencesOf, identityOf, modeOf } from './identity.ts';
import { parameterOf } from './parameter-of.ts';
import { parseState, type State, stateFile } from './state-file.ts';
import { namesInTensorFile, partFile, readTensorFile } from './tensor-file.ts';

/**
 * Goes on from the checkpoint of a run that resumes. By now the model's folder is loaded and the reference made of it, so
 * that the reference is that of the start, moved as far as it had been; only now come the policy's trained values.
 * Every rank takes its part. Throws CHECKPOINT_DIFFERS, before anything is changed if the checkpoint is of another run.
 */
export async function restoreState(session: Session): Promise<void> {
  const { run, reference, store, optimizer, hooks, log, collectives, resumeFrom } = session;
  run.referenceAtStart = await reference?.fingerprint();
  if (resumeFrom === undefined) return;
  const folder = await openFolder(resumeFrom, collectives);
  const state = parseState(await folder.text(stateFile), resumeFrom);
  await refuseAnother(session, folder, state);

  const partOf = partsIn(store);
  for await (const [name, value] of readTensorFile(folder, 'policy.safetensors', partOf))
    store.writeShard(name, 'policy', value);
  const moments: (readonly [string, Tensor])[] = [];
  const partOfMoment = (name: string, shape: readonly number[]) => partOf(parameterOf(name), shape);
  for await (const moment of readTensorFile(folder, 'optimizer.safetensors', partOfMoment)) moments.push(moment);
  optimizer.load({ json: state.optimizer, tensors: moments });
  await restoreReference(session, folder, state);

  run.step = state.step;
  run.record = state.record;
  run.evaluation = state.evaluation;
  const parts = await readParts(folder, state, partOf);
  try {
    await hooks.checkpointLoad({ parts });
  } finally {
    for (const { tensors } of Object.values(parts)) dispose(Object.values(tensors ?? {}));
  }
  log.info({ folder: resumeFrom, step: run.step }, `resumed after step ${run.step}, from ${resumeFrom}`);
}

async function refuseAnother(session: Session, checkpoint: FolderOfRanks, state: State): Promise<void> {
  const { run, store, log, collectives } = session;
  const { folder } = checkpoint;
  const refuse = (differences: readonly string[]) =>
    together(collectives, 'whose checkpoint it is', async () => {
      if (differences.length > 0) throw failure('CHECKPOINT_DIFFERS', { folder, differences: differences.join('; ') });
    });
  await refuse(differencesOf(state.identity, identityOf(session)));
  await refuse(state.step > run.steps ? [`steps were more than ${state.step} and are ${run.steps}`] : []);
  const saved = await namesInTensorFile(checkpoint, 'policy.safetensors');
  const frozen = await frozenFingerprint(store, new Set(saved));
  await refuse(differencesOf({ 'frozen parameters': state.frozen }, { 'frozen parameters': frozen }));
  const modes = differencesOf(state.mode, modeOf(session));
  if (modes.length > 0)
    log.warn({ folder }, `resume: ${modes.join('; ')}: figures agree within 1e-5, not to the last bit`);
}

async function restoreReference({ reference, store }: Session, folder: FolderOfRanks, state: State): Promise<void> {
  if (reference?.parameters === undefined) return;
  for await (const [name, value] of readTensorFile(folder, 'reference.safetensors', partsIn(store)))
    reference.parameters.write(name, value);
  const is = { 'reference as it had moved': await reference.fingerprint() };
  const [difference] = differencesOf({ 'reference as it had moved': state.reference ?? 'none' }, is);
  if (difference !== undefined) throw failure('CHECKPOINT_DIFFERS', { folder: folder.folder, differences: difference });
}

async function readParts(
  folder: FolderOfRanks,
  { parts }: State,
  partOf: ReturnType<typeof partsIn>,
): Promise<Record<string, CheckpointPart>> {
  const read: Record<string, CheckpointPart> = {};
  for (const [name, { version, json, layout = {} }] of Object.entries(parts)) {
    const tensors: Record<string, Tensor> = {};
    const partOfTensor = (tensor: string, shape: readonly number[]) => partOf(layout[tensor] ?? '', shape);
    for await (const [tensor, value] of readTensorFile(folder, partFile(name), partOfTensor)) tensors[tensor] = value;
    read[name] = { version, json, tensors, layout };
  }
  return read;
}

/** The elements that this rank holds of a tensor that is, or goes with, a parameter and has its shape; undefined for all of it. */
function partsIn(store: ParameterStore) {
  const names = new Set(store.names);
  return (parameter: string, shape: readonly number[]): Range | undefined => {
    if (!names.has(parameter) || isWhole(store, parameter)) return undefined;
    return shape.join() === store.spec(parameter).shape.join() ? store.range(parameter) : undefined;
  };
}
