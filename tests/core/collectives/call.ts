import { type Collectives, directOf, type Payload, type Reduction } from 'mooring';

/** The collectives that every provider has; the last two are those of `directOf`. */
export const kinds = [
  ...(['allGather', 'reduceScatter', 'allReduce', 'broadcast', 'barrier'] as const),
  ...(['directAllGather', 'directReduceScatter'] as const),
] as const;

/** A collective of a test, as plain data that can go to where a rank runs. */
export interface Call {
  readonly kind: (typeof kinds)[number];
  /** bfloat16 where a reduction is asked for bytes, which have none; the direct ones carry sums of float32 only. */
  readonly data: 'float32' | 'bfloat16' | 'bytes';
  /** Elements of each rank; of allReduce and broadcast the first rank's are everybody's. */
  readonly sizes: readonly number[];
  readonly reduction: Reduction;
  readonly root: number;
  readonly seed: number;
}

/** Calls that are made at once, and which rank fails instead of making the one at an index. */
export interface Script {
  readonly calls: readonly Call[];
  readonly failing?: { readonly rank: number; readonly at: number; readonly cause: string };
}

/** What came of a call: what is not as it is on one rank, or the error's code and details. */
export type Answer = { readonly difference: string } | { readonly code: string; readonly details: object };

/** Makes the calls of a script as one of its ranks, all before the first is awaited; an answer for each that it makes. */
export async function perform(collectives: Collectives, { calls, failing }: Script): Promise<Answer[]> {
  const isFailing = failing?.rank === collectives.rank;
  const made = calls.slice(0, isFailing ? failing.at : undefined).map((call) => answer(collectives, call));
  if (isFailing) collectives.abort(failing.cause);
  return Promise.all(made);
}

async function answer(collectives: Collectives, call: Call): Promise<Answer> {
  try {
    const got = await make(collectives, call);
    return { difference: differenceBetween(got, expected(call, collectives)) };
  } catch (error) {
    const { code, details } = error as { code?: string; details?: object };
    return { code: code ?? String(error), details: details ?? {} };
  }
}

/** What a call is for, as its error has to say. */
export function purpose({ kind, seed }: Call): string {
  return `${kind} ${seed}`;
}

function make(collectives: Collectives, call: Call): Promise<Payload | undefined> {
  const { rank } = collectives;
  const of = purpose(call);
  switch (call.kind) {
    case 'allGather':
      return collectives.allGather(valuesOf(call, rank, call.sizes[rank] as number), call.sizes, of);
    case 'reduceScatter':
      return collectives.reduceScatter(
        reducibleOf(call, rank, total(call.sizes, call.sizes.length)),
        call.sizes,
        call.reduction,
        of,
      );
    case 'allReduce':
      return collectives.allReduce(reducibleOf(call, rank, call.sizes[0] as number), call.reduction, of);
    case 'broadcast':
      return collectives.broadcast(valuesOf(call, rank, call.sizes[0] as number), call.root, of);
    case 'barrier':
      return collectives.barrier(of).then(() => undefined);
    case 'directAllGather': {
      const own = valuesOf(floats(call), rank, call.sizes[rank] as number);
      return directOf(collectives).allGather(call.sizes, of, (part) => part.set(own), joined);
    }
    case 'directReduceScatter': {
      const values = valuesOf(floats(call), rank, total(call.sizes, call.sizes.length));
      const write = (part: Float32Array, to: number) => {
        const begin = total(call.sizes, to);
        part.set(values.subarray(begin, begin + part.length));
      };
      return directOf(collectives).reduceScatter(call.sizes, of, write, (terms) => reduceByHand(terms, 'sum'));
    }
  }
}

/** The arithmetic of one rank, of what all of them have. */
function expected(call: Call, { rank, ranks }: Pick<Collectives, 'rank' | 'ranks'>): Payload | undefined {
  const everyone = Array.from({ length: ranks }, (_, each) => each);
  const count = call.sizes[0] as number;
  const reduced = (length: number) =>
    reduceByHand(
      everyone.map((each) => reducibleOf(call, each, length)),
      call.reduction,
    );
  switch (call.kind) {
    case 'allGather': {
      const parts = everyone.map((each) => valuesOf(call, each, call.sizes[each] as number));
      return joined(parts);
    }
    case 'reduceScatter': {
      const begin = total(call.sizes, rank);
      return reduced(total(call.sizes, ranks)).subarray(begin, begin + (call.sizes[rank] as number));
    }
    case 'allReduce':
      return reduced(count);
    case 'broadcast':
      return valuesOf(call, call.root, count);
    case 'barrier':
      return undefined;
    case 'directAllGather':
      return expected({ ...floats(call), kind: 'allGather' }, { rank, ranks });
    case 'directReduceScatter':
      return expected({ ...floats(call), kind: 'reduceScatter', reduction: 'sum' }, { rank, ranks });
  }
}

function reduceByHand(
  parts: readonly (Float32Array | Uint16Array)[],
  reduction: Reduction,
): Float32Array | Uint16Array {
  const [first] = parts as [Float32Array | Uint16Array];
  const isFloat = first instanceof Float32Array;
  const result = isFloat ? new Float32Array(first.length) : new Uint16Array(first.length);
  for (let at = 0; at < first.length; at++) {
    const numbers = parts.map((part) => (isFloat ? (part[at] as number) : floatOf((part[at] as number) << 16)));
    const sum = numbers.reduce((left, right) => Math.fround(left + right));
    const values = { sum, mean: Math.fround(sum / parts.length), max: Math.max(...numbers) };
    result[at] = isFloat ? values[reduction] : nearestBfloat16(values[reduction]);
  }
  return result;
}

/** By looking at both neighbours, unlike what is tested. */
function nearestBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  const below = bitsOf(value) >>> 16;
  if (floatOf(below << 16) === value) return below;
  // the one after the largest counts as 2^128, as rounding to nearest has it
  const finite = (bits: number) =>
    (bits & 0x7fff) === 0x7f80 ? 2 ** 128 * (bits & 0x8000 ? -1 : 1) : floatOf(bits << 16);
  const [down, up] = [Math.abs(value - finite(below)), Math.abs(value - finite(below + 1))];
  if (down === up) return below % 2 === 0 ? below : below + 1;
  return down < up ? below : below + 1;
}

const scratch = new DataView(new ArrayBuffer(4));

function floatOf(bits: number): number {
  scratch.setInt32(0, bits);
  return scratch.getFloat32(0);
}

function bitsOf(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function valuesOf(call: Call, rank: number, length: number): Payload {
  const next = randomBits(call.seed, rank);
  const values = new { float32: Float32Array, bfloat16: Uint16Array, bytes: Uint8Array }[call.data](length);
  for (let at = 0; at < length; at++) {
    const bits = next();
    if (call.data === 'bytes') values[at] = bits & 255;
    else values[at] = call.data === 'bfloat16' ? bitsOf(numberOf(bits)) >>> 16 : numberOf(bits);
  }
  return values;
}

function floats(call: Call): Call {
  return { ...call, data: 'float32' };
}

function reducibleOf(call: Call, rank: number, length: number): Float32Array | Uint16Array {
  return valuesOf(call.data === 'bytes' ? { ...call, data: 'bfloat16' } : call, rank, length) as
    | Float32Array
    | Uint16Array;
}

/** Magnitudes that lie far apart, so that another order of additions shows; now and then what is not finite, or -0. */
function numberOf(bits: number): number {
  const kind = bits & 1023;
  if (kind < 4) return [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0][kind] as number;
  return ((bits >> 10) / 2 ** 21) * 2 ** (kind % 24);
}

function randomBits(seed: number, rank: number): () => number {
  // a counter in an array: as a number it would leave the engine's small integers, and be allocated anew at each draw
  const counter = Int32Array.of(seed * 7919 + rank * 104729);
  return () => {
    counter[0] = (counter[0] as number) + 0x6d2b79f5;
    const state = counter[0] as number;
    const mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    return (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  };
}

function differenceBetween(got: Payload | undefined, wanted: Payload | undefined): string {
  if (got?.constructor.name !== wanted?.constructor.name) return `${got?.constructor.name}`;
  if (got === undefined || wanted === undefined) return '';
  if (got.length !== wanted.length) return `${got.length} instead of ${wanted.length} elements`;
  const isSame = (at: number) =>
    got instanceof Uint16Array
      ? Object.is(floatOf((got[at] as number) << 16), floatOf((wanted[at] as number) << 16))
      : Object.is(got[at], wanted[at]);
  for (let at = 0; at < got.length; at++) if (!isSame(at)) return `[${at}] is ${got[at]} instead of ${wanted[at]}`;
  return '';
}

function joined(parts: readonly Payload[]): Payload {
  const numbers = parts.flatMap((part) => [...part]);
  const [first] = parts;
  if (first instanceof Float32Array) return Float32Array.from(numbers);
  return first instanceof Uint16Array ? Uint16Array.from(numbers) : Uint8Array.from(numbers);
}

function total(sizes: readonly number[], count: number): number {
  return sizes.slice(0, count).reduce((sum, size) => sum + size, 0);
}
