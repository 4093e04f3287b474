import * as tf from '@tensorflow/tfjs';
import type { Fork, Rows, Tensors } from 'mooring';
import type { DecoderConfig } from './config.ts';
import { failure } from './errors.ts';
import { rotaryFrequencies } from './rope.ts';

/** Tokens to run, which may follow others: `mask` covers both, `[batch, span]`, and the new ones are its last `time`. */
export interface Span {
  readonly batch: number;
  readonly time: number;
  readonly span: number;
  /** `[batch, time]` */
  readonly ids: Int32Array;
  /** `[batch, span]` */
  readonly mask: Int32Array;
  readonly targets: Pick<Rows['targets'], 'source' | 'label'>;
}

/** A score that softmax turns into 0, and still finite where every key of a padding token has it. */
const masked = -1e9;

/**
 * What all blocks share: `ids` and `positions` `[batch * time]`, rotary tables `cos` and `sin` `[1 or batch, 1, time, headSize]`,
 * `mask` and `windowMask` `[1 or batch, 1, time, span]`, `source` and `label` `[targets]`.
 * One mask and one table serve every row unless padding comes before a token: what comes after it no token ever sees.
 * Throws `MODEL_SEQUENCE_TOO_LONG` and `MODEL_TOKEN_OUT_OF_RANGE`.
 */
export function prepareSpan(config: DecoderConfig, given: Span): Tensors {
  const { batch, span, mask } = given;
  refuseTooLong(config, longest(mask, batch, { trunk: 0, branches: 1, branch: span }));
  const places = placesOf(given);
  return { ...tokensOf(config, given), ...masksOf(config, places), ...positionsOf(config, batch, [places]) };
}

/**
 * What all blocks of a pass share. Where rows fork, the masks are those of the trunk, and `branchMask` and
 * `branchWindowMask` `[1 or batch, 1, branch, trunk + branch]` those of any branch: it follows the trunk as generated
 * tokens follow a prompt.
 */
export function prepareRows(config: DecoderConfig, rows: Rows): Tensors {
  const { batch, time, mask, fork } = rows;
  if (fork === undefined) return prepareSpan(config, { ...rows, span: time });
  refuseTooLong(config, longest(mask, batch, fork));
  const { trunk, branches, branch } = fork;
  const ofTrunk = placesOf({ batch, time: trunk, span: trunk, mask: trunkMask(rows, trunk, 0) });
  const ofBranch = placesOf({ batch, time: branch, span: trunk + branch, mask: trunkMask(rows, trunk, branch) });
  const { mask: branchMask, windowMask: branchWindowMask } = masksOf(config, ofBranch);
  return {
    ...tokensOf(config, rows),
    ...masksOf(config, ofTrunk),
    ...(branchMask && { branchMask }),
    ...(branchWindowMask && { branchWindowMask }),
    ...positionsOf(config, batch, [ofTrunk, ...new Array<Places>(branches).fill(ofBranch)]),
  };
}

/** Throws `MODEL_SEQUENCE_TOO_LONG` where positions are learned and there are not so many. */
export function refuseTooLong({ rope, maxPositions }: DecoderConfig, time: number): void {
  if (rope === undefined && time > maxPositions)
    throw failure('MODEL_SEQUENCE_TOO_LONG', { time, limit: maxPositions });
}

function tokensOf({ vocabularySize }: DecoderConfig, { ids, targets }: Pick<Span, 'ids' | 'targets'>): Tensors {
  const stray = ids.find((id) => id < 0 || id >= vocabularySize);
  if (stray !== undefined) throw failure('MODEL_TOKEN_OUT_OF_RANGE', { id: stray, vocabulary: vocabularySize });
  return {
    ids: tf.tensor1d(ids, 'int32'),
    source: tf.tensor1d(targets.source, 'int32'),
    label: tf.tensor1d(targets.label, 'int32'),
  };
}

/** Where tokens stand: the last `time` of `span`, in one line for all rows or in one for each. */
interface Places {
  readonly time: number;
  readonly span: number;
  readonly lines: number;
  /** Which tokens can be seen, `[lines, span]`. */
  readonly mask: Int32Array;
  /** Count of real tokens before each, `[lines, span]`. */
  readonly positions: Int32Array;
}

function placesOf({ batch, time, span, mask }: Pick<Span, 'batch' | 'time' | 'span' | 'mask'>): Places {
  const isPadded = Array.from({ length: batch }, (_, row) => mask.subarray(row * span, (row + 1) * span)).some(
    (line) => {
      const padding = line.indexOf(0);
      return padding >= 0 && padding < line.lastIndexOf(1);
    },
  );
  // a line made for all rows goes on counting: where some are padding, their figures are never read
  const [lines, seen] = isPadded ? [batch, mask] : [1, new Int32Array(span).fill(1)];
  const positions = new Int32Array(lines * span);
  for (let line = 0; line < lines; line++) {
    let count = 0;
    for (let at = line * span; at < (line + 1) * span; at++) {
      count += seen[at] as number;
      positions[at] = Math.max(0, count - 1);
    }
  }
  return { time, span, lines, mask: seen, positions };
}

/** The real tokens of trunks, followed by `after` that all are: `[batch, trunk + after]`. */
function trunkMask({ batch, time, mask }: Rows, trunk: number, after: number): Int32Array {
  const all = new Int32Array(batch * (trunk + after)).fill(1);
  for (let row = 0; row < batch; row++) all.set(mask.subarray(row * time, row * time + trunk), row * (trunk + after));
  return all;
}

/** Real tokens of the longest sequence. */
function longest(mask: Int32Array, batch: number, { trunk, branches, branch }: Fork): number {
  const time = trunk + branches * branch;
  const count = (begin: number, length: number) =>
    mask.subarray(begin, begin + length).reduce((sum, real) => sum + real, 0);
  const lengths = Array.from({ length: batch * branches }, (_, at) => {
    const row = Math.floor(at / branches) * time;
    return count(row, trunk) + count(row + trunk + (at % branches) * branch, branch);
  });
  return Math.max(0, ...lengths);
}

function masksOf({ windows }: DecoderConfig, places: Places): Partial<Record<'mask' | 'windowMask', tf.Tensor>> {
  const window = windows.find((each) => each !== undefined);
  return {
    ...(windows.some((each) => each === undefined) ? { mask: maskOf(places, Infinity) } : {}),
    ...(window === undefined ? {} : { windowMask: maskOf(places, window) }),
  };
}

/** A window counts positions: the padding between a trunk and its branches takes up none of it. */
function maskOf({ lines, time, span, mask, positions }: Places, window: number): tf.Tensor {
  const values = new Float32Array(lines * time * span).fill(masked);
  for (let line = 0; line < lines; line++) {
    for (let query = 0; query < time; query++) {
      const begin = line * span;
      const last = begin + span - time + query;
      const first = (positions[last] as number) - window;
      const at = (line * time + query) * span - begin;
      for (let key = begin; key <= last; key++)
        if (mask[key] === 1 && (positions[key] as number) > first) values[at + key] = 0;
    }
  }
  return tf.tensor(values, [lines, 1, time, span]);
}

/** Ids of learned positions, or tables of rotary ones, of rows that consist of `parts`. Padding has any position. */
function positionsOf(config: DecoderConfig, batch: number, parts: readonly Places[]): Tensors {
  const { rope, maxPositions } = config;
  const lines = Math.max(...parts.map((part) => part.lines));
  const ofRow = (row: number) => parts.flatMap((part) => [...newPositions(part, row)]);
  if (rope !== undefined)
    return rotaryTables(
      config,
      Array.from({ length: lines }, (_, row) => ofRow(row)),
    );
  const ids = Array.from({ length: batch }, (_, row) => ofRow(row)).flat();
  return {
    positions: tf.tensor1d(
      Int32Array.from(ids, (each) => Math.min(each, maxPositions - 1)),
      'int32',
    ),
  };
}

/** Of the last `time` tokens of a row. */
function newPositions({ lines, time, span, positions }: Places, row: number): Int32Array {
  const end = ((lines === 1 ? 0 : row) + 1) * span;
  return positions.subarray(end - time, end);
}

/** Both tables carry the root of the attention's scale, so that scores come out scaled. */
function rotaryTables(config: DecoderConfig, lines: readonly (readonly number[])[]): Tensors {
  const { headSize, rope, attentionScales } = config;
  const frequencies = rope === undefined ? new Float64Array(0) : rotaryFrequencies(rope, headSize);
  const scale = Math.sqrt(attentionScales[0] as number);
  const half = headSize / 2;
  const positions = lines.flat();
  const cos = new Float32Array(positions.length * headSize);
  const sin = new Float32Array(cos.length);
  positions.forEach((position, row) => {
    for (let index = 0; index < half; index++) {
      const angle = position * (frequencies[index] as number);
      const at = row * headSize + index;
      cos[at] = cos[at + half] = Math.cos(angle) * scale;
      sin[at + half] = Math.sin(angle) * scale;
      sin[at] = -(sin[at + half] as number);
    }
  });
  const shape = [lines.length, 1, positions.length / lines.length, headSize];
  return { cos: tf.tensor(cos, shape), sin: tf.tensor(sin, shape) };
}
