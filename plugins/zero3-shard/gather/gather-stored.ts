import type * as tf from '@tensorflow/tfjs';
import {
  type Collectives,
  copyInto,
  directOf,
  joined,
  newLike,
  type ParameterSpec,
  type ParameterStorage,
} from 'mooring';
import { elementsOf, isLarge, lengthOf, type Partition } from '../partition.ts';
import { concatenated } from './lent-values.ts';
import { storedOf, type Values, valuesOf } from './stored-values.ts';

/** A parameter to gather, and what this rank stores of it. */
export interface Wanted {
  readonly spec: ParameterSpec;
  readonly storage: ParameterStorage;
  readonly own: tf.Tensor;
}

/**
 * Starts to gather parameters, each a promise of what is stored of the whole: large ones by themselves, those of float32
 * written and read where they are carried; small ones together, in one call for float32 and one for bfloat16. The order of
 * the calls follows from names, sizes and storage only. Takes ownership of what is given.
 */
export function gatherStored(
  wanted: readonly Wanted[],
  partition: Partition,
  collectives: Collectives,
): { readonly stored: readonly Promise<tf.Tensor>[]; readonly calls: number } {
  const buckets = bucketsOf(wanted);
  const found = new Map<Wanted, Promise<tf.Tensor>>();
  for (const bucket of buckets) {
    const [first] = bucket as [Wanted];
    if (isAlone(first) && first.storage === 'float32') {
      found.set(first, gatherDirectly(first, partition, collectives));
      continue;
    }
    const gathered = gatherBucket(bucket, partition, collectives);
    for (const [index, each] of bucket.entries()) {
      found.set(
        each,
        gathered.then((all) => storedOf(all[index] as Values, each.spec.shape, each.storage)),
      );
    }
  }
  return { stored: wanted.map((each) => found.get(each) as Promise<tf.Tensor>), calls: buckets.length };
}

function isAlone({ spec }: Wanted): boolean {
  return isLarge(elementsOf(spec));
}

function bucketsOf(wanted: readonly Wanted[]): (readonly Wanted[])[] {
  const small = wanted.filter((each) => !isAlone(each));
  const ofStorage = (storage: ParameterStorage) => small.filter((each) => each.storage === storage);
  const shared = [ofStorage('float32'), ofStorage('bfloat16')].filter((bucket) => bucket.length > 0);
  return [...wanted.filter(isAlone).map((each) => [each]), ...shared];
}

async function gatherDirectly(
  { spec, own }: Wanted,
  partition: Partition,
  collectives: Collectives,
): Promise<tf.Tensor> {
  const write = (part: Float32Array) => {
    copyInto(own, part);
    own.dispose();
  };
  const sizes = partition.rangesOf(spec).map(lengthOf);
  return directOf(collectives).allGather(sizes, `the parameter ${spec.name}`, write, (parts) =>
    concatenated(parts, spec.shape),
  );
}

async function gatherBucket(
  bucket: readonly Wanted[],
  partition: Partition,
  collectives: Collectives,
): Promise<readonly Values[]> {
  const ranges = bucket.map(({ spec }) => partition.rangesOf(spec));
  const ofRanks = Array.from({ length: partition.ranks }, (_, rank) => ranges.map((each) => each[rank]));
  const sizes = ofRanks.map((each) => each.reduce((sum, range) => sum + (range ? lengthOf(range) : 0), 0));
  const [first, ...others] = bucket as readonly [Wanted, ...Wanted[]];
  const of = `the parameter ${first.spec.name}${others.length > 0 ? ` and ${others.length} more` : ''}`;
  const own = bucket.map(({ own, spec }) => valuesOf(own, lengthOf(partition.range(spec))));
  const all = await collectives.allGather(own.length === 1 ? (own[0] as Values) : joined(own), sizes, of);
  if (others.length === 0) return [all];

  const wholes = bucket.map(({ spec }) => newLike(all, elementsOf(spec)));
  let at = 0;
  for (const each of ofRanks) {
    for (const [index, range] of each.entries()) {
      if (range === undefined) continue;
      wholes[index]?.set(all.subarray(at, at + lengthOf(range)), range.begin);
      at += lengthOf(range);
    }
  }
  return wholes;
}
