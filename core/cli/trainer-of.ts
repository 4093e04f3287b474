import path from 'node:path';
import type { Trainer } from '../create-trainer.ts';
import { createLog } from '../log.ts';
import type { Log } from '../tokens.ts';
import { loadPlugins } from './load-plugins.ts';
import { readRunFile } from './run-file.ts';

/** A trainer as a run file describes it. */
export interface DescribedTrainer {
  readonly trainer: Trainer;
  /** The folder that results go to, absolute. */
  readonly output: string | undefined;
  readonly log: Log;
}

/** Reads a run file, loads its plugins and composes the trainer. `output` is relative to the working directory. */
export async function trainerOf(
  file: string,
  options: { readonly set: readonly string[]; readonly output?: string | undefined; readonly isDebug: boolean },
): Promise<DescribedTrainer> {
  const runFile = await readRunFile(file, options.set);
  const output = options.output === undefined ? runFile.input.output : path.resolve(options.output);
  const plugins = await loadPlugins(runFile);
  // only now, since it brings the tensor library: a mistake in the run file is told at once
  const { createTrainer } = await import('../create-trainer.ts');
  const log = createLog(options.isDebug ? 'debug' : undefined);
  const trainer = createTrainer(
    { ...runFile.input, ...(output === undefined ? {} : { output }) },
    { log, locate: runFile.locate },
  );
  return { trainer: trainer.use(...plugins), output, log };
}
