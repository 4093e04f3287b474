import type { Batch } from './batch.ts';
import { failure } from './failure.ts';
import { requestsOf } from './micro-step.ts';
import type { Outputs, Pass } from './model.ts';
import { type Rows, sliceRows } from './rows.ts';
import type { Session } from './session.ts';

/** How far the KL at step 0 may be from 0 where the reference is the model that training starts from. */
const exactBound = 1e-6;

/**
 * The same where weights were rounded to bfloat16, each by up to 2^-9 of itself: 2e-6 to 1e-5 for the test models and for one
 * of 0.1B. Log-probabilities that are off by a tenth give this much.
 */
const bfloat16Bound = 5e-3;

/** Kinds of reference that are the starting policy itself. */
const sameAsPolicy = new Set(['clone', 'adapters-off', 'adapter-snapshot']);

/**
 * Says what the reference is, and shows it: before the first step, in evaluation mode, policy and reference score the
 * same row, which passes every block, and the KL between them, by the k3 estimator on these tokens (Schulman 2020), must be
 * 0 where it is a copy, and near it where that is stored as bfloat16, unless it says why it differs. The same holds for a
 * reference that was read from disk with the policy's own weights; for every other it is finite. Throws REFERENCE_DIFFERS and REFERENCE_NOT_FINITE.
 */
export async function checkReference(session: Session, batch: Batch): Promise<void> {
  const { driver, store, reference, log, run } = session;
  const request = requestsOf(session, batch).find((pass) => pass.of === 'policy');
  if (reference === undefined || request === undefined) return;
  const pass = { ...request, rows: firstScored(request.rows), outputs: ['logps'], gradient: false } as const;
  const policy = await driver.forward({ ...pass, view: 'policy' } satisfies Pass);
  const frozen = await reference.score({ ...pass, key: 'reference', view: 'reference' } satisfies Pass);
  const { kl } = driver.measure(() => ({ kl: { value: k3(policy, frozen), reduce: 'mean' } }));
  for (const tensor of [...Object.values(policy), ...Object.values(frozen)]) tensor.dispose();
  driver.release();
  const { kind, over, differsBy, storage } = reference;
  const name = over === undefined ? kind : `${kind} over ${over}`;
  const bound = storage === 'bfloat16' ? bfloat16Bound : exactBound;
  const whole = run.referenceAtStart ?? (await reference.fingerprint());
  const fingerprint = whole.slice(0, 12);
  const figure = kl?.value ?? Number.NaN;
  // read from disk, it may be the starting policy or any other model: its weights say which
  const isPolicy = sameAsPolicy.has(kind) || (kind === 'reload' && whole === (await store.fingerprint('policy')));
  if (isPolicy && differsBy === undefined && !(Math.abs(figure) <= bound)) {
    throw failure('REFERENCE_DIFFERS', { kind, fingerprint, kl: figure, bound });
  }
  if (!Number.isFinite(figure)) throw failure('REFERENCE_NOT_FINITE', { kind, fingerprint, kl: figure });
  const bytesResident = reference.bytesResident();
  log.info(
    { kind, over, fingerprint, bytesResident, kl: figure },
    `reference: ${name} ${fingerprint}, KL at step 0 is ${figure}${differsBy === undefined ? '' : `, since ${differsBy}`}`,
  );
}

/** The rows up to the first one that has a token to score: a whole batch would show nothing more, and takes as long as a step. */
function firstScored(rows: Rows): Rows {
  const { batch, time, ids, targets } = rows;
  const first = targets.source.reduce((least, at) => Math.min(least, at), ids.length);
  return sliceRows(rows, 0, Math.min(batch, 1 + Math.floor(first / time))).part;
}

/** mean(exp(r - p) - 1 - (r - p)): never negative, and 0 only where the log-probabilities agree. */
function k3(policy: Outputs, frozen: Outputs) {
  const difference = (frozen.logps as NonNullable<Outputs['logps']>).sub(policy.logps as NonNullable<Outputs['logps']>);
  return difference.exp().sub(1).sub(difference).mean();
}
