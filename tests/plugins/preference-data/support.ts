import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { type Log, MooringError, type Random } from 'mooring';

/** Makes files in a folder that goes away after the tests. */
export function scratchFiles(): (content: string | Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-data-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  let made = 0;
  return (content) => {
    const file = join(folder, `${made++}.jsonl`);
    writeFileSync(file, content);
    return file;
  };
}

/** Rows as the lines of a JSONL file. */
export const jsonl = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** A log that keeps its warnings. */
export function keepingLog(): Log & { warnings: string[] } {
  const warnings: string[] = [];
  const drop = () => {};
  return { warnings, debug: drop, info: drop, error: drop, warn: (_, message) => warnings.push(message) };
}

/** A generator whose stream depends on its key alone (mulberry32 over a hash of the key). */
export const keyedRandom: Random = {
  stream(...key) {
    let state = [...key.join('/')].reduce((sum, letter) => Math.imul(sum ^ letter.charCodeAt(0), 16_777_619), 7);
    const next = () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
    return { next, integer: (below) => Math.floor(next() * below) };
  },
};

/** The error that an attempt ends with; anything but a MooringError fails the test. */
export async function errorOf(attempt: () => unknown): Promise<MooringError> {
  try {
    await attempt();
  } catch (error) {
    if (error instanceof MooringError) return error;
    throw error;
  }
  throw new TypeError('nothing was thrown');
}
