import { bytesOf, type Dtype, isDtype } from './dtype.ts';
import { failure } from './errors.ts';

/** Where a tensor lies: its type, shape, and byte range `[begin, end)` within the data after the header. */
export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A file's tensors by name, and the strings that it was saved with. */
export interface Header {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The largest header that safetensors allows. */
export const headerLimitBytes = 100_000_000;

/**
 * Parses and checks the JSON of a safetensors header: types, shapes, and that the tensors' byte ranges cover the
 * `dataBytes` bytes of data exactly once. Throws the `SAFETENSORS_...` errors, naming file and tensor.
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number, file: string): Header {
  const text = decodeText(bytes, file);
  const json = parseObject(text, file);
  refuseDuplicates(text, file);
  const { __metadata__: metadata, ...tensors } = json;
  const entries = new Map<string, TensorEntry>();
  for (const [tensor, entry] of Object.entries(tensors)) entries.set(tensor, parseEntry(entry, tensor, file));
  checkRanges(entries, dataBytes, file);
  return { entries, metadata: parseMetadata(metadata, file) };
}

/** The bytes before the data: the header's length and its JSON, padded so that the data is aligned to 8 bytes. */
export function formatHeader(header: Header): Uint8Array {
  const tensors = Array.from(header.entries, ([name, { dtype, shape, begin, end }]) => {
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const metadata = Object.keys(header.metadata).length > 0 ? [['__metadata__', header.metadata] as const] : [];
  // written entry by entry: an object would move names that look like integers to the front
  const fields = [...metadata, ...tensors].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const text = Buffer.from(`{${fields.join(',')}}`);
  const padded = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  padded.writeBigUInt64LE(BigInt(padded.length - 8));
  text.copy(padded, 8);
  return padded;
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw failure('SAFETENSORS_HEADER_MALFORMED', { file, reason: 'it is not UTF-8 text' }, { cause });
  }
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw failure('SAFETENSORS_HEADER_MALFORMED', { file, reason: (cause as Error).message }, { cause });
  }
  if (isObject(json)) return json;
  throw failure('SAFETENSORS_HEADER_MALFORMED', { file, reason: 'it is not a JSON object' });
}

/** `JSON.parse` keeps the last of two equal names without a word, so the names are read once more from the text. */
function refuseDuplicates(text: string, file: string): void {
  const seen = new Set<string>();
  let depth = 0;
  let last = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      if (depth === 1) last = text.slice(start, at + 1);
    } else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') depth--;
    else if (character === ':' && depth === 1) {
      const tensor: string = JSON.parse(last);
      if (seen.has(tensor)) throw failure('SAFETENSORS_NAME_DUPLICATE', { file, tensor });
      seen.add(tensor);
    }
  }
}

function parseEntry(entry: unknown, tensor: string, file: string): TensorEntry {
  const malformed = (reason: string) => failure('SAFETENSORS_ENTRY_MALFORMED', { file, tensor, reason });
  if (!isObject(entry)) throw malformed('it is not an object');
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string') throw malformed('its dtype is not a string');
  if (!isSizes(shape)) throw malformed('its shape is not a list of sizes');
  if (!isSizes(offsets)) throw malformed('its data_offsets are not a list of byte positions');
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2 || begin > end) {
    throw malformed('its data_offsets are not a begin and an end');
  }
  if (!isDtype(dtype)) throw failure('SAFETENSORS_DTYPE_UNSUPPORTED', { file, tensor, dtype });
  const bytes = shape.reduce((product, size) => product * size, bytesOf(dtype));
  if (bytes === end - begin) return { dtype, shape, begin, end };
  throw failure('SAFETENSORS_SIZE_MISMATCH', { file, tensor, dtype, shape: shape.join(', '), bytes: end - begin });
}

function parseMetadata(metadata: unknown, file: string): Record<string, string> {
  if (metadata === undefined) return {};
  if (isObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string')) {
    return metadata as Record<string, string>;
  }
  throw failure('SAFETENSORS_HEADER_MALFORMED', { file, reason: 'its __metadata__ is not a map of strings' });
}

function checkRanges(entries: ReadonlyMap<string, TensorEntry>, size: number, file: string): void {
  const ordered = [...entries].sort(([, one], [, other]) => one.begin - other.begin || one.end - other.end);
  let covered = 0;
  let other = '';
  for (const [tensor, { begin, end }] of ordered) {
    if (end > size) throw failure('SAFETENSORS_RANGE_OUTSIDE', { file, tensor, begin, end, size });
    if (begin < covered) throw failure('SAFETENSORS_RANGES_OVERLAP', { file, tensor, other });
    if (begin > covered) throw failure('SAFETENSORS_BYTES_UNNAMED', { file, begin: covered, end: begin });
    covered = end;
    other = tensor;
  }
  if (covered < size) throw failure('SAFETENSORS_BYTES_UNNAMED', { file, begin: covered, end: size });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
