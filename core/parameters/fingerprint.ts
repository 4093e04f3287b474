import { createHash } from 'node:crypto';
import { alone, type Collectives } from '../collectives/collectives.ts';
import type { ParameterStore } from '../tokens.ts';
import { partOf } from './part-of.ts';

/** What is kept of a tensor: the hashes of its elements, added up modulo 2^32 in two lanes. */
interface Sums {
  readonly shape: readonly number[];
  readonly lanes: Uint32Array;
}

/** How many elements a call takes: one of 100M has no loop that V8 compiled from its beginning, and takes twice as long. */
const chunk = 2 ** 20;

/**
 * A hash of names, shapes and values of tensors, whatever their order. Each element is hashed with its offset, and the
 * hashes are added up: so pieces may come in any order and from any rank, and nothing is gathered. The sums are hashed
 * by name with SHA-256. It tells models apart; it does not withstand someone who wants two to agree.
 * It takes about as long as SHA-256 of the same values.
 */
export class Fingerprint {
  private readonly tensors = new Map<string, Sums>();

  /** Takes values of a tensor in: those from the element `begin` on, in any number of pieces. */
  async add(
    name: string,
    shape: readonly number[],
    pieces: AsyncIterable<Float32Array> | Iterable<Float32Array>,
    begin = 0,
  ): Promise<void> {
    const { lanes } = this.tensors.get(name) ?? { lanes: new Uint32Array(2) };
    this.tensors.set(name, { shape, lanes });
    let offset = begin;
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; at += chunk) addHashes(lanes, piece.subarray(at, at + chunk), offset + at);
      offset += piece.length;
    }
  }

  /** Of all that was added, in hexadecimal digits. */
  get value(): string {
    const whole = createHash('sha256');
    for (const [name, { shape, lanes }] of this.ordered()) whole.update(JSON.stringify([name, shape, ...lanes]));
    return whole.digest('hex');
  }

  /** The sums of all tensors, two numbers for each, in the order of their names: what `addSums` takes in elsewhere. */
  get sums(): Uint32Array {
    return Uint32Array.from(this.ordered().flatMap(([, { lanes }]) => [...lanes]));
  }

  /** Takes in what another fingerprint of the same names and shapes has seen. */
  addSums(sums: Uint32Array): void {
    for (const [at, [, { lanes }]] of this.ordered().entries()) {
      for (const lane of [0, 1]) (lanes[lane] as number) += sums[2 * at + lane] as number;
    }
  }

  private ordered(): (readonly [string, Sums])[] {
    return [...this.tensors].sort(([one], [other]) => (one < other ? -1 : 1));
  }
}

/** Makes the fingerprint of what this rank has seen that of all ranks. Each calls it, with the same names and shapes. */
export async function mergeFingerprints(collectives: Collectives, fingerprint: Fingerprint): Promise<void> {
  const own = new Uint8Array(fingerprint.sums.buffer);
  const sizes = Array.from({ length: collectives.ranks }, () => own.length);
  const all = (await collectives.allGather(own, sizes, 'fingerprint')).slice();
  for (let rank = 0; rank < collectives.ranks; rank++) {
    if (rank === collectives.rank) continue;
    fingerprint.addSums(new Uint32Array(all.buffer, rank * own.length, own.length / 4));
  }
}

/** The fingerprint of parameters of which every rank holds its range, or all. Nothing is gathered but sums. */
export async function fingerprintOf(
  store: Pick<ParameterStore, 'spec' | 'range' | 'readShard'>,
  names: readonly string[],
  view: string,
  collectives: Collectives = alone,
): Promise<string> {
  const fingerprint = new Fingerprint();
  for (const name of names) {
    const { range, read } = partOf(store, name, view, collectives);
    const pieces = range.begin < range.end ? [(await read()) as Float32Array] : [];
    await fingerprint.add(name, store.spec(name).shape, pieces, range.begin);
  }
  if (collectives.ranks > 1) await mergeFingerprints(collectives, fingerprint);
  return fingerprint.value;
}

/**
 * The first lane tells apart what is in `bits + offset * k`, the second, given the first, the offset: so no two
 * elements of one tensor have both lanes in common. Multipliers of MurmurHash3 (Appleby) and of Wellons's lowbias32.
 */
function addHashes(lanes: Uint32Array, { buffer, byteOffset, length }: Float32Array, begin: number): void {
  const bits = new Uint32Array(buffer, byteOffset, length);
  let first = (lanes[0] as number) | 0;
  let second = (lanes[1] as number) | 0;
  for (let at = 0; at < bits.length; at++) {
    const offset = (begin + at) | 0;
    const keyed = (((bits[at] as number) | 0) + Math.imul(offset, 0x9e3779b1)) | 0;
    const mixed = Math.imul(keyed ^ (keyed >>> 16), 0x85ebca6b);
    const one = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    first = (first + (one ^ (one >>> 16))) | 0;
    const other = Math.imul(((mixed ^ (mixed >>> 15)) + Math.imul(offset, 0x27d4eb2f)) | 0, 0x2c1b3c6d);
    second = (second + (other ^ (other >>> 15))) | 0;
  }
  lanes[0] = first;
  lanes[1] = second;
}
