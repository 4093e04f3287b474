import path from 'node:path';
import type { TrainResult } from '../create-trainer.ts';
import { stopOnSignal } from './interrupt.ts';
import type { Terminal } from './main.ts';
import { trainerOf } from './trainer-of.ts';

/** Trains as a run file says; says at the end what was saved where. Returns the exit code. */
export async function trainCommand(
  file: string,
  options: {
    readonly set: readonly string[];
    readonly output?: string;
    /** The newest checkpoint of the output, or this folder. */
    readonly resume?: boolean | string;
    readonly isDebug: boolean;
    readonly terminal: Terminal;
  },
): Promise<number> {
  const { trainer, output, log } = await trainerOf(file, options);
  if (output === undefined) log.warn({}, 'the run names no output, so nothing will be kept: set it, or give --output');
  const stop = stopOnSignal((reason) => trainer.requestStop(reason), { tell: (line) => log.warn({}, line) });
  try {
    const result = await trainer.train({ resume: options.resume ?? false });
    options.terminal.out(`${summaryOf(result)}\n`);
    return stop.exitCode();
  } finally {
    stop.dispose();
  }
}

function summaryOf({ steps, seconds, stopReason, written }: TrainResult): string {
  const folders = written.map((folder) => path.relative('', folder) || '.');
  const ended = stopReason === undefined ? `Trained ${steps} steps` : `Stopped after step ${steps} (${stopReason})`;
  const saved = folders.length === 0 ? 'Nothing was saved.' : `Saved ${folders.join(', ')}.`;
  return `${ended} in ${seconds.toFixed(1)} s. ${saved}`;
}
