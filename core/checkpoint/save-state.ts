import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { dispose, type Tensor } from '@tensorflow/tfjs';
import type { CheckpointPart } from '../hook-arguments.ts';
import { explained, writeFolderAside } from '../parameters/writeAside.ts';
import type { Session } from '../session.ts';
import { failure } from './errors.ts';
import { frozenFingerprint } from './frozen.ts';
import { identityOf, modeOf } from './identity.ts';
import { seal } from './seal.ts';
import { format, type State, writeStateFile } from './state-file.ts';
import { entryOf, lazyEntry, partFile, type TensorEntry, writeTensorFile } from './tensor-file.ts';

/**
 * Writes all that a run needs to go on as if it had never ended: what is trained or ever was, the optimizer's state, a
 * reference that has moved, the step and its figures, and every plugin's part. What was never trained is kept by
 * fingerprint only, for the model's folder has it. Throws CHECKPOINT_MID_STEP, CHECKPOINT_TENSOR, DISK_FULL and WRITE_FAILED.
 */
export async function saveState(session: Session, folder: string): Promise<void> {
  const { run, hooks, optimizer, reference } = session;
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
      parts: Object.fromEntries(Object.entries(parts).map(([name, { version, json }]) => [name, { version, json }])),
    };
    const files = {
      'policy.safetensors': policy,
      'optimizer.safetensors': moments.map(([name, value]) => entryOf(name, value)),
      'reference.safetensors':
        moved === undefined || moved === run.referenceAtStart ? [] : await referenceEntries(session, policy),
      ...Object.fromEntries(Object.entries(parts).map(([name, part]) => [partFile(name), partEntries(name, part)])),
    };
    await makeFolder(path.dirname(folder));
    await writeFolderAside(folder, async (staging) => {
      for (const [name, entries] of Object.entries(files)) await writeTensorFile(path.join(staging, name), entries);
      await writeStateFile(staging, state);
      await seal(staging);
    });
  } finally {
    dispose(moments.map(([, value]) => value));
    for (const { tensors } of Object.values(parts)) dispose(Object.values(tensors ?? {}));
  }
}

/** What is trained, and what has been: the optimizer knows it. */
function policyEntries(
  { store }: Session,
  moments: readonly (readonly [name: string, value: Tensor])[],
): TensorEntry[] {
  const trained = new Set(moments.map(([name]) => name.slice(0, name.lastIndexOf('/'))));
  return store.names
    .filter((name) => store.isTrainable(name) || trained.has(name))
    .map((name) => lazyEntry(name, store.spec(name).shape, () => store.read(name, 'policy')));
}

/** Of a reference that has moved, what may have: not what was never trained and the reference shares with the policy. */
async function referenceEntries({ reference, store }: Session, policy: readonly TensorEntry[]): Promise<TensorEntry[]> {
  const entries: TensorEntry[] = [];
  const everTrained = new Set(policy.map(({ name }) => name));
  const { names, read } = reference?.parameters ?? { names: [], read: () => undefined as never };
  for (const name of names) {
    const value = read(name);
    const isUntrained = store.names.includes(name) && !everTrained.has(name);
    const isShared = isUntrained && (await holds(value, store.read(name, 'policy')));
    if (!isShared) entries.push(lazyEntry(name, value.shape, () => read(name)));
    value.dispose();
  }
  return entries;
}

/** Whether two tensors are equal bit for bit; frees the second. */
async function holds(one: Tensor, other: Tensor): Promise<boolean> {
  const [a, b] = await Promise.all([one.data(), other.data().finally(() => other.dispose())]);
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array | Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function partEntries(part: string, { tensors = {} }: CheckpointPart): TensorEntry[] {
  return Object.entries(tensors).map(([name, tensor]) => {
    const { dtype } = tensor;
    if (dtype !== 'float32' && dtype !== 'int32') throw failure('CHECKPOINT_TENSOR', { part, tensor: name, dtype });
    return entryOf(name, tensor);
  });
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause) => {
    throw explained(cause, folder);
  });
}
