import { distance } from 'fastest-levenshtein';
import type { ChatMessage } from 'mooring';
import { failure } from './errors.ts';
import { extractPromptMessages, extractPromptText, type Pair } from './pair.ts';

/** Where a row stands, for messages. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** A row as it is written: columns by name. */
type Row = Readonly<Record<string, unknown>>;

const columns = ['prompt', 'chosen', 'rejected'] as const;
type Column = (typeof columns)[number];

/** Columns of TRL that change what the model reads, and that text alone cannot honour. */
const unsupported = ['image', 'images', 'tools', 'chat_template_kwargs'];

/**
 * Turns the lines of one JSONL file into pairs. Whether the file has a `prompt` column is settled by its first row:
 * later ones without it are mistakes, not implicit prompts.
 * Throws ROW_*, COLUMN_*, PROMPT_*, and TEXT_EMPTY, each naming file and line.
 */
export class PairParser {
  /** Columns that were ignored so far. */
  readonly ignored = new Set<string>();
  #hasPrompt: boolean | undefined;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** The pair on a line, `undefined` if the line is blank. */
  parse(bytes: Uint8Array, line: number): Pair | undefined {
    const place = { file: this.#file, line };
    const text = this.#decode(bytes, place);
    if (text.trim() === '') return undefined;
    const row = parseRow(text, place);
    this.#checkColumns(row, place);
    return toPair(row, place);
  }

  #decode(bytes: Uint8Array, place: Place): string {
    try {
      return this.#decoder.decode(bytes);
    } catch (cause) {
      throw failure('ROW_NOT_UTF8', { ...place }, { cause });
    }
  }

  #checkColumns(row: Row, place: Place): void {
    const extra = Object.keys(row).filter((name) => !columns.some((column) => column === name));
    for (const column of columns) {
      if (isPresent(row[column])) continue;
      const misspelled = extra.find((name) => distance(name.toLowerCase(), column) <= 2);
      if (column === 'prompt' && misspelled === undefined && this.#hasPrompt !== true) continue;
      throw failure('COLUMN_MISSING', { ...place, column, columns: listOf(row), advice: adviceOn(column, misspelled) });
    }
    this.#hasPrompt ??= isPresent(row.prompt);
    if (isPresent(row.prompt) !== this.#hasPrompt) throw failure('PROMPT_MIXED', { ...place });
    for (const name of extra) {
      if (unsupported.includes(name) && isPresent(row[name]))
        throw failure('COLUMN_UNSUPPORTED', { ...place, column: name });
      this.ignored.add(name);
    }
  }
}

function parseRow(text: string, place: Place): Row {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (cause) {
    throw failure('ROW_NOT_JSON', { ...place, reason: (cause as SyntaxError).message }, { cause });
  }
  if (isObject(row)) return row;
  throw failure('ROW_NOT_OBJECT', { ...place, found: kindOf(row) });
}

function toPair(row: Row, place: Place): Pair {
  const { prompt, chosen, rejected } = row;
  if (typeof chosen === 'string') {
    const completions = { chosen, rejected: text(rejected, 'rejected', place) };
    const hasPrompt = isPresent(prompt);
    const pair = hasPrompt ? { prompt: text(prompt, 'prompt', place), ...completions } : extractPromptText(completions);
    return checked({ format: 'plain', ...pair }, hasPrompt, place);
  }
  const completions = { chosen: messages(chosen, 'chosen', place), rejected: messages(rejected, 'rejected', place) };
  // Some sets repeat the first question as a string beside conversations that begin with it.
  const hasPrompt = isPresent(prompt) && typeof prompt !== 'string';
  const pair = hasPrompt
    ? { prompt: messages(prompt, 'prompt', place), ...completions }
    : extractPromptMessages(completions);
  return checked({ format: 'conversational', ...pair }, hasPrompt, place);
}

function checked(pair: Pair, hasPrompt: boolean, place: Place): Pair {
  if (!hasPrompt && pair.prompt.length === 0 && pair.chosen.length > 0 && pair.rejected.length > 0)
    throw failure('PROMPT_NOT_SHARED', { ...place });
  for (const column of columns) if (isEmpty(pair[column])) throw failure('TEXT_EMPTY', { ...place, column });
  return pair;
}

function text(value: unknown, column: Column, place: Place): string {
  if (typeof value === 'string') return value;
  throw failure('COLUMN_TYPE', { ...place, column, found: kindOf(value), expected: 'text' });
}

function messages(value: unknown, column: Column, place: Place): readonly ChatMessage[] {
  const refuse = (where: string, found: unknown, expected: string) =>
    failure('COLUMN_TYPE', { ...place, column: `${column}${where}`, found: kindOf(found), expected });
  if (!Array.isArray(value)) throw refuse('', value, 'a conversation');
  return value.map((message: unknown, index) => {
    if (!isObject(message)) throw refuse(`[${index}]`, message, 'a message');
    const { role, content } = message;
    if (typeof role !== 'string') throw refuse(`[${index}].role`, role, 'a role');
    if (typeof content !== 'string') throw refuse(`[${index}].content`, content, 'text');
    return { ...message, role, content };
  });
}

function isEmpty(value: string | readonly ChatMessage[]): boolean {
  return typeof value === 'string' ? value === '' : value.every((message) => message.content === '');
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isObject(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function listOf(row: Row): string {
  return Object.keys(row).join(', ') || 'none';
}

function adviceOn(column: Column, misspelled: string | undefined): string {
  if (misspelled !== undefined) return `Rename \`${misspelled}\` to \`${column}\`.`;
  return `Add \`${column}\` to the row, or remove the row.`;
}
