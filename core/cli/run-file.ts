import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { type RunInput, runSchema } from '../config.ts';
import { checkOptions, type Locate } from '../options.ts';
import { failure } from './errors.ts';
import { lineOf } from './line-of.ts';
import { applySettings } from './settings.ts';

/** A plugin as a run file names it. */
export interface PluginEntry {
  /** A built-in name, a package, or a path relative to the run file. */
  readonly name: string;
  readonly options: unknown;
  /** `- progress: false` */
  readonly isRemoved: boolean;
  /** Places in the options. */
  readonly locate: Locate;
}

/** A checked run file: paths are absolute, plugins are names still. */
export interface RunFile {
  readonly file: string;
  readonly input: RunInput;
  readonly plugins: readonly PluginEntry[];
  readonly locate: Locate;
}

const entry = 'expected the name of a plugin, or one name with its options, as in `- dpo: { beta: 0.1 }`';
const optionsOrNot = z.union([z.record(z.string(), z.unknown()), z.boolean(), z.null()]);
const runFileSchema = runSchema.extend({
  plugins: z.array(z.custom<string | Readonly<Record<string, unknown>>>(isEntry, entry)).default([]),
});

/**
 * Reads and checks a run file; `settings` are `--set` values, which count as if they stood in it. Every error names the
 * line or the setting, and the key. Throws RUN_FILE_MISSING, RUN_FILE_MALFORMED, SETTING_MALFORMED and OPTIONS_INVALID.
 */
export async function readRunFile(file: string, settings: readonly string[] = []): Promise<RunFile> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw failure(
      'RUN_FILE_MISSING',
      { file, reason: reasons[(cause as NodeJS.ErrnoException).code ?? ''] ?? cause.message },
      { cause },
    );
  });
  const lines = new LineCounter();
  const { document, value } = parse(file, text, lines);
  const { data, settingOf } = applySettings(value, settings);
  const locate: Locate = (at) => {
    const setting = settingOf(at);
    const line = lineOf(document, lines, at);
    const place = setting !== undefined ? `--set ${setting}` : line !== undefined ? `${file}:${line}` : file;
    return at.length === 0 ? place : `${place}: ${display(at)}`;
  };
  const { plugins, ...input } = checkOptions(runFileSchema, data, locate);
  return {
    file,
    input: withAbsolutePaths(input, path.dirname(path.resolve(file))),
    plugins: plugins.map((each, index) => entryOf(each, (at) => locate(['plugins', index, ...at]))),
    locate,
  };
}

const reasons: Readonly<Record<string, string>> = { ENOENT: 'it does not exist', EISDIR: 'it is a folder' };

function parse(file: string, text: string, lineCounter: LineCounter): { document: Document; value: unknown } {
  const document = parseDocument(text, { lineCounter, prettyErrors: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    const reason = (problem.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '').replace(/\.$/, '');
    throw failure(
      'RUN_FILE_MALFORMED',
      { where: `${file}:${problem.linePos?.[0].line ?? 1}`, reason },
      { cause: problem },
    );
  }
  try {
    return { document, value: document.toJS() };
  } catch (cause) {
    // such as an alias that unfolds to millions of nodes
    throw failure('RUN_FILE_MALFORMED', { where: file, reason: (cause as Error).message }, { cause });
  }
}

/** Paths in a run file are relative to its folder. */
function withAbsolutePaths(input: RunInput, folder: string): RunInput {
  const names = ['model', 'data', 'evalData', 'output'] as const;
  const given = names.flatMap((name) => (input[name] === undefined ? [] : [[name, path.resolve(folder, input[name])]]));
  return { ...input, ...Object.fromEntries(given), folder };
}

function isEntry(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return false;
  return optionsOrNot.safeParse(Object.values(value)[0]).success;
}

function entryOf(each: string | Readonly<Record<string, unknown>>, locate: Locate): PluginEntry {
  if (typeof each === 'string') return { name: each, options: undefined, isRemoved: false, locate };
  const [name, options] = Object.entries(each)[0] as [string, unknown];
  const given = typeof options === 'object' && options !== null ? options : undefined;
  return { name, options: given, isRemoved: options === false, locate: (at) => locate([name, ...at]) };
}

/** `plugins.dpo.lossType[0]`: a plugin is known by its name, not by its place in the list. */
function display(at: readonly PropertyKey[]): string {
  const named = at[0] === 'plugins' && at.length > 2 ? [at[0], ...at.slice(2)] : at;
  return named
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`))
    .join('');
}
