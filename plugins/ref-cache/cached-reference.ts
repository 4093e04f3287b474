import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import type { Collectives, OutputName, Outputs, Pass, Reference } from 'mooring';
import type { CacheFolder } from './cache-folder.ts';
import { failure } from './errors.ts';
import type { CacheRecord } from './records.ts';
import { scoredSequences } from './sequences.ts';

/** Outputs with one value for each target, which a cache can hold; the others belong to a model that runs. */
const perTarget: readonly OutputName[] = ['logps', 'entropy', 'logits', 'correct', 'collision'];

/** An open cache, and what its values are of. */
export interface OpenCache {
  /** Of the first rank alone, which tells the others what is there: so none asks the reference where another does not. */
  readonly folder: CacheFolder | undefined;
  /** Of the identity: part of every key. */
  readonly digest: string;
  /** Of the reference beneath. */
  readonly fingerprint: string;
}

/** A reference whose log-probabilities are kept, over the one that computes them. */
export interface CachedReference extends Reference {
  /** Whether all that a pass asks for is there. */
  knows(pass: Pick<Pass, 'rows' | 'outputs'>): Promise<boolean>;
  /**
   * From now on what is computed is kept. Not before the first step: blocks that are compiled from then on round otherwise,
   * and a policy that has not moved yet would differ from its reference.
   */
  startKeeping(): void;
  /** Lets the reference beneath go, if it can be: from now on only what is there is answered. */
  letInnerGo(): void;
}

/**
 * Answers passes from the cache, which `open` opens at the first need, and keeps what the inner reference had to compute.
 * All ranks ask together.
 */
export function createCachedReference(
  inner: Reference,
  collectives: Collectives,
  open: () => Promise<OpenCache>,
): CachedReference {
  let opened: Promise<OpenCache> | undefined;
  const cache = () => {
    opened ??= open();
    return opened;
  };
  let isKeeping = false;
  let isReleased = false;

  return {
    kind: 'cached',
    get over() {
      return inner.over ?? inner.kind; // which may not be decided before the weights are there
    },
    fingerprint: async () => (await cache()).fingerprint,
    bytesResident: () => (isReleased ? 0 : inner.bytesResident()),
    async knows({ rows, outputs }) {
      const { folder, digest } = await cache();
      const sequences = folder === undefined ? [] : scoredSequences(rows);
      const keys = sequences.flatMap((sequence) => heldOf(outputs).map((name) => keyOf(digest, name, sequence.digest)));
      const isKnown = keys.every((key) => folder?.has(key));
      const [told] = await collectives.broadcast(Uint8Array.of(Number(isKnown)), 0, 'whether the cache knows a pass');
      return told === 1;
    },
    startKeeping() {
      isKeeping = true;
    },
    letInnerGo() {
      if (isReleased || inner.release === undefined) return;
      inner.release();
      isReleased = true;
    },
    async score(pass) {
      const open = await cache();
      const outputs = heldOf(pass.outputs);
      const known = await tell(
        collectives,
        recall(open, pass, outputs),
        outputs.length * pass.rows.targets.label.length,
      );
      if (known !== undefined) return outputsOf(known, outputs);
      if (isReleased) throw failure('REF_CACHE_MISS', { pass: pass.key });
      const computed = await inner.score({ ...pass, outputs });
      if (isKeeping) await keep(open, pass, computed);
      return computed;
    },
  };
}

function heldOf(outputs: readonly OutputName[]): OutputName[] {
  return outputs.filter((name) => perTarget.includes(name));
}

/** What is asked for, one output after the other, if every value of it is there. */
function recall({ folder, digest }: OpenCache, { rows }: Pass, names: readonly OutputName[]): Float32Array | undefined {
  const sequences = scoredSequences(rows);
  const targets = rows.targets.label.length;
  const found = new Float32Array(names.length * targets);
  for (const [at, name] of names.entries()) {
    for (const sequence of sequences) {
      const values = folder?.read(keyOf(digest, name, sequence.digest));
      if (values?.length !== sequence.members.length) return undefined;
      sequence.members.forEach((target, index) => {
        found[at * targets + target] = values[index] as number;
      });
    }
  }
  return found;
}

/** What the first rank recalled, on all: so many values, or nothing. */
async function tell(collectives: Collectives, found: Float32Array | undefined, size: number) {
  const message = new Float32Array(1 + size);
  if (found !== undefined) {
    message[0] = 1;
    message.set(found, 1);
  }
  const told = await collectives.broadcast(message, 0, 'what the cache knows of a pass');
  return told[0] === 1 ? told.subarray(1) : undefined;
}

function outputsOf(values: Float32Array, names: readonly OutputName[]): Outputs {
  const targets = values.length / names.length;
  const valuesOf = (at: number) => tf.tensor1d(values.slice(at * targets, (at + 1) * targets));
  return Object.fromEntries(names.map((name, at) => [name, valuesOf(at)]));
}

async function keep({ folder, digest }: OpenCache, { rows }: Pass, outputs: Outputs): Promise<void> {
  if (folder === undefined) return;
  const records: CacheRecord[] = [];
  for (const [name, tensor] of Object.entries(outputs) as [OutputName, tf.Tensor][]) {
    if (!perTarget.includes(name)) continue;
    const all = await tensor.data<'float32'>();
    for (const sequence of scoredSequences(rows)) {
      const values = Float32Array.from(sequence.members, (target) => all[target] as number);
      records.push({ key: keyOf(digest, name, sequence.digest), values });
    }
  }
  folder.append(records);
}

function keyOf(identity: string, output: OutputName, sequence: string): string {
  return createHash('sha256').update(`${identity} ${output} ${sequence}`).digest('hex');
}
