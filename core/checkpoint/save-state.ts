import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { dispose } from '@tensorflow/tfjs';
import { onFirst } from '../collectives/together.ts';
import { explained, explaining, type Writers, writeFolderAside } from '../parameters/writeAside.ts';
import type { Session } from '../session.ts';
import { momentEntries, partEntries, policyEntries, referenceEntries } from './entries.ts';
import { failure } from './errors.ts';
import { frozenFingerprint } from './frozen.ts';
import { identityOf, modeOf } from './identity.ts';
import { seal } from './seal.ts';
import { format, type State, writeStateFile } from './state-file.ts';
import { writeTensorFile } from './tensor-file.ts';

/**
 * Writes all that a run needs to go on as if it had never ended: what is trained or ever was, the optimizer's state, a
 * reference that has moved, the step and its figures, and every plugin's part. What was never trained is kept by
 * fingerprint only, for the model's folder has it. Every rank calls it and writes what it holds: the files are of whole
 * tensors, the same for any number of ranks. Throws CHECKPOINT_MID_STEP, CHECKPOINT_TENSOR, DISK_FULL, WRITE_FAILED and RANK_FAILED.
 */
export async function saveState(session: Session, folder: string): Promise<void> {
  const { run, hooks, optimizer, reference, collectives } = session;
  if (run.isMidStep) throw failure('CHECKPOINT_MID_STEP', { step: run.step + 1 });
  const { json, tensors } = optimizer.save();
  const moments = [...tensors];
  const parts = await hooks.checkpointSave({ run }).catch((error) => {
    dispose(moments.map(([, value]) => value));
    throw error;
  });
  try {
    const policy = policyEntries(session, moments);
    const moved = reference?.parameters === undefined ? undefined : await reference.fingerprint();
    const state: State = {
      format,
      step: run.step,
      record: run.record,
      evaluation: run.evaluation,
      identity: identityOf(session),
      mode: modeOf(session),
      frozen: await frozenFingerprint(session.store, new Set(policy.map(({ name }) => name))),
      reference: moved,
      optimizer: json,
      parts: Object.fromEntries(
        Object.entries(parts).map(([name, { version, json, layout }]) => [name, { version, json, layout }]),
      ),
    };
    const files = {
      'policy.safetensors': policy,
      'optimizer.safetensors': momentEntries(session, moments),
      'reference.safetensors':
        moved === undefined || moved === run.referenceAtStart ? [] : await referenceEntries(session, policy),
      ...(await partEntries(session, parts)),
    };
    await onFirst(collectives, 'the folder of checkpoints', () => makeFolder(path.dirname(folder)));
    const fill = async (staging: string, writers: Writers) => {
      for (const [name, entries] of Object.entries(files))
        await writeTensorFile(path.join(staging, name), entries, writers);
      const finish = async () => {
        await writeStateFile(staging, state);
        await seal(staging);
      };
      // all ranks hear of a full disk, so that all go on without this checkpoint
      await onFirst(collectives, 'the state of the run', explaining(folder, finish));
    };
    await writeFolderAside(folder, fill, collectives);
  } finally {
    dispose(moments.map(([, value]) => value));
    for (const { tensors } of Object.values(parts)) dispose(Object.values(tensors ?? {}));
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause) => {
    throw explained(cause, folder);
  });
}
