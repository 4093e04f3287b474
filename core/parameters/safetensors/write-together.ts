import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Collectives, Range } from '../../collectives/collectives.ts';
import { gatherTexts } from '../../collectives/gather-texts.ts';
import { onFirst, together } from '../../collectives/together.ts';
import { explained, explaining, type Writers } from '../writeAside.ts';
import type { Values } from './dtype.ts';
import { encode, type FileLayout, layOut, type PlacedTensor, pieceElements, type TensorSpec } from './layout.ts';
import { refuseMisfit, usualMetadata, writeSafetensors } from './writer.ts';

/** What one rank has of a tensor that is written. */
export interface TensorPart {
  readonly range: Range;
  /** The values of the range; not asked where it is empty. */
  readonly read: () => Values | Promise<Values>;
}

/**
 * Writes a safetensors file of which every rank has parts: byte for byte what `writeSafetensors` writes of the whole, and
 * nothing is gathered. Each rank writes its ranges into the one file, or, where only the first sees the disk, sends them
 * to it piece by piece. It is for a folder that `writeFolderAside` fills, on every rank, with the same `specs`. Throws
 * SAFETENSORS_VALUES_MISFIT where the parts leave a hole, DISK_FULL, WRITE_FAILED and RANK_FAILED.
 */
export async function writeSafetensorsTogether(
  file: string,
  specs: readonly TensorSpec[],
  part: (name: string) => TensorPart,
  { collectives, isShared }: Writers,
): Promise<void> {
  if (collectives.ranks === 1) return writeSafetensors(file, specs, (name) => part(name).read());
  const layout = layOut(specs, usualMetadata);
  const own = layout.tensors.map(({ name }) => part(name).range);
  const ranges = await rangesOfAll(collectives, own, basename(file));
  for (const [at, tensor] of layout.tensors.entries()) refuseHole(file, tensor, ranges[at] ?? []);
  const values = async (tensor: PlacedTensor) => {
    const { range, read } = part(tensor.name);
    const found = await read();
    const given = { count: found.length, isInteger: found instanceof Int32Array };
    refuseMisfit(file, tensor, range.end - range.begin, given);
    return found;
  };
  const name = basename(file);
  let handle: FileHandle | undefined;
  try {
    const begin = async () => {
      handle = await open(file, 'wx');
      await handle.truncate(layout.bytes);
      await writeFully(handle, layout.header, 0);
    };
    await onFirst(collectives, `an empty ${name}`, explaining(file, begin));
    const writing = { layout, ranges, values, collectives };
    const problem = isShared ? undefined : await sendRanges(writing, handle, name);
    const finish = async () => {
      if (problem !== undefined) throw problem;
      if (isShared) {
        handle ??= await open(file, 'r+');
        await writeRanges(writing, handle);
      }
      await handle?.sync();
    };
    await together(collectives, `all parts of ${name}`, explaining(file, finish));
  } catch (cause) {
    throw explained(cause, file);
  } finally {
    await handle?.close();
  }
}

interface Writing {
  readonly layout: FileLayout;
  /** Of each tensor, in the order of the file, the range of each rank. */
  readonly ranges: readonly (readonly Range[])[];
  readonly values: (tensor: PlacedTensor) => Promise<Values>;
  readonly collectives: Collectives;
}

/** Every rank writes what it has. */
async function writeRanges({ layout, ranges, values, collectives }: Writing, handle: FileHandle): Promise<void> {
  for (const [at, tensor] of layout.tensors.entries()) {
    const { begin, end } = (ranges[at] as readonly Range[])[collectives.rank] as Range;
    if (begin === end) continue;
    let position = tensor.position + begin * tensor.elementBytes;
    for (const bytes of encode(tensor.dtype, await values(tensor))) {
      await writeFully(handle, bytes, position);
      position += bytes.length;
    }
  }
}

/**
 * All send what they have to the first rank, which has the open file and writes it. What fails on this rank is returned, not
 * thrown: the others go on to send until all is through.
 */
async function sendRanges(
  { layout, ranges, values, collectives }: Writing,
  handle: FileHandle | undefined,
  name: string,
): Promise<unknown> {
  let problem: unknown;
  const attempt = async <Result>(body: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return problem === undefined ? await body() : undefined;
    } catch (error) {
      problem = error;
      return undefined;
    }
  };
  for (const [at, tensor] of layout.tensors.entries()) {
    for (const [rank, { begin, end }] of (ranges[at] as readonly Range[]).entries()) {
      const isOwn = rank === collectives.rank && begin < end;
      const own = (isOwn ? await attempt(() => values(tensor)) : undefined) ?? new Float32Array();
      for (let first = begin; first < end; first += pieceElements) {
        const length = Math.min(pieceElements, end - first) * tensor.elementBytes;
        const [bytes] = encode(tensor.dtype, own.subarray(first - begin, first - begin + pieceElements));
        const sent =
          rank !== collectives.rank ? new Uint8Array() : bytes?.length === length ? bytes : new Uint8Array(length);
        const sizes = Array.from({ length: collectives.ranks }, (_, each) => (each === rank ? length : 0));
        const piece = rank === 0 ? sent : await collectives.allGather(sent, sizes, `parts of ${name}`);
        const position = tensor.position + first * tensor.elementBytes;
        if (handle !== undefined) await attempt(() => writeFully(handle, piece, position));
      }
    }
  }
  return problem;
}

/** By tensor, then by rank. */
async function rangesOfAll(collectives: Collectives, own: readonly Range[], name: string): Promise<Range[][]> {
  const text = JSON.stringify(own.map(({ begin, end }) => [begin, end]));
  const texts = await gatherTexts(collectives, text, `the ranges of ${name}`);
  const all = texts.map((each) => JSON.parse(each) as [number, number][]);
  return own.map((_, at) => all.map((ranges) => ({ begin: ranges[at]?.[0] ?? 0, end: ranges[at]?.[1] ?? 0 })));
}

function refuseHole(file: string, tensor: PlacedTensor, ranges: readonly Range[]): void {
  let covered = 0;
  for (const { begin, end } of ranges.toSorted((one, other) => one.begin - other.begin)) {
    if (begin === covered) covered = end;
  }
  const count = ranges.reduce((sum, { begin, end }) => sum + end - begin, 0);
  const isInteger = tensor.dtype === 'int32';
  refuseMisfit(file, tensor, tensor.elements, { count: covered === tensor.elements ? count : covered, isInteger });
}

/** Writes in pieces: one call writes at most 2 GiB, and may write less than it was asked to. */
async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  const pieceBytes = 2 ** 28;
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(pieceBytes, bytes.length - done);
    done += (await handle.write(bytes, done, length, position + done)).bytesWritten;
  }
}
