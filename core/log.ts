import pino from 'pino';
import { prettyFactory } from 'pino-pretty';
import { currentRank } from './current-rank.ts';
import type { Log } from './tokens.ts';

/** Levels by how much they say. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * The default log: messages for people on standard error, one line each, so that standard output stays for results.
 * Details are for programs; they are printed only at level `debug`. Ranks other than the first say errors only, unless
 * they are given a level.
 */
export function createLog(level: LogLevel = currentRank() === 0 ? 'info' : 'error'): Log {
  const format = prettyFactory({
    ignore: 'pid,hostname,time,level',
    hideObject: level !== 'debug',
    messageFormat: (record, key) => `${prefixes[record.level as number] ?? ''}${record[key]}`,
    colorize: process.stderr.isTTY,
  });
  // through the stream, not the file descriptor, so that a progress bar can make room for it
  return pino({ level, base: null }, { write: (line) => void process.stderr.write(format(line)) });
}

const prefixes: Readonly<Record<number, string>> = { 40: 'warning: ', 50: 'error: ' };
