import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { type LedgerEntry, writeFileAside } from 'mooring';
import { failure } from './errors.ts';

/** What `summary.json` says of a run. */
export interface Summary {
  /** Optimizer steps done, and how many there were to be. */
  readonly steps: number;
  readonly plannedSteps: number;
  /** Why it ended early, as it was asked to; null if it did not. */
  readonly stopReason: string | null;
  /** What it failed with; null if it did not. */
  readonly error: { readonly code: string; readonly message: string } | null;
  /** From the moment that its services existed. */
  readonly seconds: number;
  /** How long steps waited for their batches, of those seconds: the data is too slow where this is a part of them. */
  readonly millisecondsAwaitingData: number;
  /** Tokens put into the model while training, and how many that was a second, evaluations included. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** The most bytes that tensors and variables held at once, by unique buffer: without what operations use inside. */
  readonly peakTensorBytes: number;
  /** The most memory that the process held. */
  readonly peakBytes: number;
  /** The reference as it was at the end of training. */
  readonly reference: { readonly kind: string; readonly fingerprint: string; readonly bytesResident: number } | null;
  /** What each plugin used, by hook. */
  readonly ledger: readonly LedgerEntry[];
}

/** Writes `summary.json`, aside first: a reader sees a whole one or none. */
export async function writeSummary(folder: string, summary: Summary): Promise<void> {
  await writeFileAside(path.join(folder, 'summary.json'), (handle) =>
    handle.writeFile(`${JSON.stringify(summary, null, 2)}\n`),
  );
}

/**
 * Makes the folder. The files of an earlier run in it become `metrics.1.jsonl` and `summary.1.json`, or the next free
 * number; returns their names. Throws METRICS_UNWRITABLE.
 */
export async function prepareFolder(folder: string): Promise<readonly string[]> {
  try {
    await mkdir(folder, { recursive: true });
    return await moveEarlierAside(folder);
  } catch (cause) {
    throw failure('METRICS_UNWRITABLE', { file: folder, reason: (cause as Error).message }, { cause });
  }
}

async function moveEarlierAside(folder: string): Promise<readonly string[]> {
  const names = [
    ['metrics', 'jsonl'],
    ['summary', 'json'],
  ] as const;
  const at = (name: string, extension: string, number?: number) =>
    path.join(folder, `${name}${number === undefined ? '' : `.${number}`}.${extension}`);
  const there = names.filter(([name, extension]) => existsSync(at(name, extension)));
  let number = 1;
  while (names.some(([name, extension]) => existsSync(at(name, extension, number)))) number++;
  for (const [name, extension] of there) await rename(at(name, extension), at(name, extension, number));
  return there.map(([name, extension]) => at(name, extension, number));
}
