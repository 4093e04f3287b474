import * as tf from '@tensorflow/tfjs';
import type { Rows, Tensors } from 'mooring';
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
  const { rope, vocabularySize } = config;
  const { batch, time, span, ids, mask, targets } = given;
  refuseTooLong(config, span);
  const stray = ids.find((id) => id < 0 || id >= vocabularySize);
  if (stray !== undefined) throw failure('MODEL_TOKEN_OUT_OF_RANGE', { id: stray, vocabulary: vocabularySize });

  const rows = hasPaddingBeforeTokens(given) ? batch : 1;
  const positions = positionsOf(mask, rows, span, time);
  const maskOf = (window: number) => tf.tensor(maskValues(given, rows, window), [rows, 1, time, span]);
  const window = config.windows.find((each) => each !== undefined);
  const isFull = config.windows.some((each) => each === undefined);
  return {
    ids: tf.tensor1d(ids, 'int32'),
    source: tf.tensor1d(targets.source, 'int32'),
    label: tf.tensor1d(targets.label, 'int32'),
    ...(isFull ? { mask: maskOf(span) } : {}),
    ...(window === undefined ? {} : { windowMask: maskOf(window) }),
    ...(rope === undefined
      ? { positions: tf.tensor1d(repeated(positions, batch / rows), 'int32') }
      : rotaryTables(config, positions, rows, time)),
  };
}

/** Throws `MODEL_SEQUENCE_TOO_LONG` where positions are learned and there are not so many. */
export function refuseTooLong({ rope, maxPositions }: DecoderConfig, time: number): void {
  if (rope === undefined && time > maxPositions)
    throw failure('MODEL_SEQUENCE_TOO_LONG', { time, limit: maxPositions });
}

/** What all blocks of a pass share. */
export function prepareRows(config: DecoderConfig, rows: Rows): Tensors {
  return prepareSpan(config, { ...rows, span: rows.time });
}

function hasPaddingBeforeTokens({ mask, batch, span }: Span): boolean {
  return Array.from({ length: batch }, (_, row) => mask.subarray(row * span, (row + 1) * span)).some((line) => {
    const padding = line.indexOf(0);
    return padding >= 0 && padding < line.lastIndexOf(1);
  });
}

/** Count of real tokens before each of the last `time`, `[rows * time]`. */
function positionsOf(mask: Int32Array, rows: number, span: number, time: number): Int32Array {
  const positions = new Int32Array(rows * time);
  for (let row = 0; row < rows; row++) {
    let seen = 0;
    for (let key = 0; key < span; key++) {
      const at = key - (span - time);
      // a table made for all rows goes on counting: where some are padding, their figures are never read
      if (rows === 1 || mask[row * span + key] === 1) seen++;
      if (at >= 0) positions[row * time + at] = Math.max(0, seen - 1);
    }
  }
  return positions;
}

function maskValues({ mask, time, span }: Span, rows: number, window: number): Float32Array {
  const values = new Float32Array(rows * time * span).fill(masked);
  for (let row = 0; row < rows; row++) {
    for (let query = 0; query < time; query++) {
      const line = (row * time + query) * span;
      const last = span - time + query;
      const first = Math.max(0, last - window + 1);
      if (rows === 1) values.fill(0, line + first, line + last + 1);
      else for (let key = first; key <= last; key++) if (mask[row * span + key] === 1) values[line + key] = 0;
    }
  }
  return values;
}

/** Both tables carry the root of the attention's scale, so that scores come out scaled. */
function rotaryTables(config: DecoderConfig, positions: Int32Array, rows: number, time: number): Tensors {
  const { headSize, rope, attentionScales } = config;
  const frequencies = rope === undefined ? new Float64Array(0) : rotaryFrequencies(rope, headSize);
  const scale = Math.sqrt(attentionScales[0] as number);
  const half = headSize / 2;
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
  const shape = [rows, 1, time, headSize];
  return { cos: tf.tensor(cos, shape), sin: tf.tensor(sin, shape) };
}

function repeated(values: Int32Array, times: number): Int32Array {
  const all = new Int32Array(values.length * times);
  for (let time = 0; time < times; time++) all.set(values, time * values.length);
  return all;
}
